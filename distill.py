"""Rewrite the first layers of a Whisper encoder as a small wav2vec2 model that takes the raw waveform.

    python distill.py --teacher openai/whisper-small --data data/emotion --output outputs/distilled

The result is a folder with a stock `Wav2Vec2Model` that takes every second frame of Whisper's.
`train.py --model outputs/distilled --pooling_layer` starts from it.
It takes minutes, because nothing is trained by gradient descent: every part of the teacher has a counterpart
in a wav2vec2 model whose layers normalise first ("stable layer norm").

1. log-mel          conv layer 0 is a windowed Fourier transform (cosine and sine, each with both signs, so
                    that GELU rectifies them); conv layer 1 sums bins to mel bands and compares each band with
                    thresholds 10 dB apart: the logarithm is a weighted sum of its outputs.
2. Whisper's stem   conv layers 2 and 3 and the projection, by ridge regression on the teacher's activations.
3. layers           the same shapes, copied weight for weight; channels in another order, see 5.
4. the last layer    its attention is copied; its feed-forward network measures each frame instead of changing
                    it, see `speech_emotion.training.distillation_features`.
5. positions        the positional convolution. A quarter of Whisper's channels hardly vary after the stem:
                    the student holds them constant, one in each group of four, and a one-sided kernel whose
                    running sum is the teacher's table turns that constant into the position.

The regressions use clips of the training split (with `--without`, none of some corpora), and
`distillation.json` states how close the student comes on those of the validation split. Clips of the test
split are not used.
"""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

from speech_emotion.atomic import atomic_directory, check_place, format_os_error
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.dataset import DatasetError, open_dataset
from speech_emotion.machine import describe_machine
from speech_emotion.models.loading import ModelError
from speech_emotion.training.distillation_features import draw_clips, write_features
from speech_emotion.training.distillation_speech import cut_pieces, draw_batch, read_speech
from speech_emotion.training.distillation_student import TeacherEncoder, build_student, explained_variance

REPORT = "distillation.json"  # in the student's folder


@torch.no_grad()
def main() -> None:
    """Build the student, measure it, save it."""
    args = parse_args()
    started = time.time()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        check_place(args.output, REPORT)
        dataset = open_dataset(args.data)
        teacher = TeacherEncoder(args.teacher, args.layers, device)
    except (DatasetError, ModelError) as error:
        raise SystemExit(str(error)) from error
    except OSError as error:
        raise SystemExit(f"{format_os_error(error, args.output)}.") from error

    # Read the speech
    rows = dataset["train"].filter(lambda corpus: corpus not in args.without, input_columns="corpus")
    speech, validation = read_speech(rows), read_speech(dataset["validation"])
    batches = [draw_batch(speech, np.random.default_rng((args.seed, 1, n))) for n in range(args.batches)]
    batches = [waves.to(device) for waves in batches]
    pieces = cut_pieces(validation, np.random.default_rng((args.seed, 0))).to(device)

    # Compute the student's weights and measure it
    teacher.reorder(batches[:8])
    student = build_student(teacher, batches)
    variance_explained = explained_variance(student, teacher, pieces)
    agreement = write_features(student, draw_clips(rows, np.random.default_rng((args.seed, 2))))
    report = {
        "teacher": args.teacher,
        "layers": args.layers,
        "variance_explained": variance_explained,
        "speech_frames_found": round(agreement, 4),
        "hours_heard": round(sum(waves.numel() for waves in batches) / SAMPLE_RATE / 3600, 2),
        "speakers": list(speech),
        "seconds": round(time.time() - started),
        "parameters": student.num_parameters(),
        "seed": args.seed,
        "measured_on": describe_machine(),
        "command": f"python {shlex.join(sys.argv)}",
    }

    # Save
    try:
        save(student, report, args.output)
    except (OSError, SafetensorError) as error:
        raise SystemExit(f"{format_os_error(error, args.output)}. An earlier folder is unchanged.") from error
    print(f"Saved to {args.output}; variance explained: {variance_explained}")


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--teacher", default="openai/whisper-small", help="Whisper's hub id or folder")
    parser.add_argument("--output", type=Path, default=Path("outputs/distilled"), help="the student's folder")
    parser.add_argument(
        "--without", nargs="*", default=[], metavar="CORPUS",
        help="corpora to leave out, so that classifiers can be tested on any of their speakers",
    )  # fmt: skip
    parser.add_argument(
        "--layers", type=int, default=5, help="layers of the teacher to keep (default: %(default)s)"
    )
    parser.add_argument("--batches", type=int, default=40, help="batches to fit on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the crops (default: %(default)s)")
    return parser.parse_args()


def save(student: Wav2Vec2Model, report: dict, output: Path) -> None:
    """Write a folder that `from_pretrained` opens, with `distillation.json`; it replaces an earlier one."""
    with atomic_directory(output, REPORT) as folder:
        student.save_pretrained(folder)
        Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder)
        (folder / REPORT).write_text(json.dumps(report, indent=1) + "\n")
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors writes files that only their owner can read


if __name__ == "__main__":
    main()
