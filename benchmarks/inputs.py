"""Send every bad input of the tests through every entrance, and count what is lost.

    python benchmarks/inputs.py

An answer counts as lost if it is neither a result nor one sentence, or if it takes more than 5 seconds of
processor time or 300 MB. `tests/entrances.py` has the limits, `tests/bad_audio.py` the inputs. Runs the app
on this machine. Needs `make dev`. Writes results/inputs.json.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from record import RESULTS, save_result

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import entrances  # noqa: E402
from bad_audio import make_inputs  # noqa: E402


def main() -> None:
    """Send the inputs, print the losses and save the counts."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    inputs, results, losses = make_inputs(), {}, []
    with tempfile.TemporaryDirectory() as folder, entrances.served() as (address, app):
        paths = [Path(folder) / "inputs" / each.name for each in inputs]
        paths[0].parent.mkdir()
        for path, each in zip(paths, inputs, strict=True):
            path.write_bytes(each.content)
        groups = (
            (entrances.functions(ROOT / "models" / "wav2vec2"), os.getpid()),
            (entrances.preparations(paths, Path(folder)), os.getpid()),
            (entrances.endpoints(address), app),
        )
        for asks, process in groups:
            for name, ask in asks.items():
                lost = {path.name: entrances.find_loss(ask, path, process) for path in paths}
                lost = {file: loss for file, loss in lost.items() if loss}
                results[name] = len(lost)
                losses += [f"{name}: {file} {loss}" for file, loss in lost.items()]
    figures = {
        "inputs": len(inputs),
        "entrances": len(results),
        "losses": len(losses),
        "most_seconds": entrances.MOST_SECONDS,
        "most_memory_mb": entrances.MOST_MEMORY,
        "losses_by_entrance": results,
    }
    save_result(RESULTS / "inputs.json", figures, ["av", "gradio", "numpy", "soundfile", "soxr", "torch"])
    print(*losses, figures, sep="\n")
    raise SystemExit(bool(losses))


if __name__ == "__main__":
    main()
