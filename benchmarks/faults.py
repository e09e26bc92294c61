"""Interrupt training, preparation and measuring at many moments, and count what is lost.

    python benchmarks/faults.py            # every moment: hundreds of faults
    python benchmarks/faults.py --every 5  # every fifth moment

Each task runs on the tests' miniature corpora, in a folder that already holds another model or dataset. A
moment is a change to that folder. The task is killed at such moments and at random times; from every third
moment on, the disk is full or writing is denied. A fault counts as a loss in three cases: the folder is
neither as before nor complete; the task does not end in a sentence; or the same command, run again, does not
produce the same bytes as a run without faults. Needs `make dev`. Writes results/faults.json.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from record import RESULTS, save_result

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import faults  # noqa: E402
from conftest import make_corpora, make_model, voice, write_wav  # noqa: E402

from data_prep.build import build_dataset  # noqa: E402

CLOCK_KILLS = 5  # of each work
ERRORS_EVERY = 3  # moments
Strike = Callable[[Callable[[], None], Path], int]


def main() -> None:
    """Inject every fault and save the losses."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=1, help="kill at every so many moments")
    every = parser.parse_args().every
    torch.set_num_threads(1)  # a forked process has no other threads to wait for
    figures = {"faults": 0, "losses": [], "works": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for name, work in make_works(Path(scratch)).items():
            log, unbroken = Path(scratch, "log"), Path(scratch, name)
            whole = work.finish(unbroken, log)
            count = dict.fromkeys((*faults.KINDS, "clock"), 0)
            for kind, place, strike in plan(unbroken, log, every, random.Random(name)):
                count[kind] += 1
                if lost := work.suffer(place, log, whole, strike):
                    figures["losses"].append({"work": name, "fault": place.name, "loss": lost})
                shutil.rmtree(place)
            figures["works"][name] = count
            figures["faults"] += sum(count.values())
            print(name, count, figures["losses"], flush=True)
    save_result(RESULTS / "faults.json", figures, ["torch", "transformers", "datasets", "safetensors"])


def make_works(folder: Path) -> dict[str, faults.Work]:
    """Make recordings, datasets and models in miniature, and return the tasks on them by name."""
    corpora, data, other = make_corpora(folder / "corpora"), folder / "data", folder / "other"
    build_dataset(corpora, data, workers=1)
    for actor in range(1, 9):
        write_wav(folder / "few" / f"03-01-03-01-01-01-{actor:02}.wav", voice(seed=actor))
    build_dataset(folder / "few", other, workers=1)
    model = make_model(folder / "model")
    faults.training(data, None).finish(folder / "first", folder / "log")
    return {
        "preparation": faults.preparation(corpora, other),
        "measurement": faults.measurement(data, folder / "first" / "made"),
        "training": faults.training(data, model),
        "refit on kept states": faults.training(data, model, "--cached_views=as_it_lies", "--refit"),
    }


def plan(unbroken: Path, log: Path, every: int, draw: random.Random) -> Iterator[tuple[str, Path, Strike]]:
    """Yield the kind of each fault, its scratch folder, and the function that causes it."""
    count, seconds = faults.moments(log), faults.seconds(log)
    for kind in faults.KINDS:
        for moment in range(0, count, every if kind == "kill" else every * ERRORS_EVERY):
            place = unbroken.with_name(f"{kind} at {moment}")
            yield kind, place, partial(faults.run, kind=kind, moment=moment, watched=place)
    for _ in range(CLOCK_KILLS):
        after = draw.uniform(0, seconds)
        yield (
            "clock",
            unbroken.with_name(f"killed after {after:.3f} s"),
            partial(faults.kill_after, seconds=after),
        )


if __name__ == "__main__":
    main()
