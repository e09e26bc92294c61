"""Estimate, without a GPU, what fine-tuning wav2vec2-base with train.py's defaults needs on one.

    python benchmarks/gpu_estimate.py

Memory: four bytes for each parameter's weight, gradient, two moments of AdamW and averaged weight, and what a
batch of the longest clips keeps for the backward pass, counted on the CPU under bfloat16. Time: the
operations of the forward and backward pass for clips of the mean length, as PyTorch counts them. Only the
clips a second that one worker reads and augments are measured. The estimate leaves out the memory of a GPU's
kernels and how close to its peak the GPU comes. Writes results/gpu_estimate.json.
"""

import argparse
import time

import torch
from record import RESULTS, save_result
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForAudioClassification, Wav2Vec2Config

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.dataset import open_dataset
from speech_emotion.models.loading import WINDOW_SECONDS
from speech_emotion.training.arguments import Arguments, Recipe
from speech_emotion.training.augmentation import augment
from speech_emotion.training.inputs import ClipDataset, seeded
from speech_emotion.training.sampling import cap_speakers

READ_CLIPS = 200
BYTES = 4 * 5  # of a parameter: weight, gradient, two moments, average


def main() -> None:
    """Count, measure the reading and save the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    rows = open_dataset(parser.parse_args().data)["train"]
    rows = cap_speakers(rows, Recipe.clips_per_speaker, Arguments.seed)
    clips = ClipDataset(rows, WINDOW_SECONDS, augment)
    batch, epochs = Arguments.per_device_train_batch_size, Arguments.num_train_epochs
    mean_seconds = sum(clips.durations) / len(clips)
    torch.manual_seed(0)
    model = AutoModelForAudioClassification.from_config(Wav2Vec2Config(num_labels=8)).train()
    parameters = model.num_parameters()
    kept = count_kept_bytes(model, batch, WINDOW_SECONDS)
    operations = count_operations(model, batch, mean_seconds) / batch * len(clips) * epochs
    figures = {
        "model": "facebook/wav2vec2-base, as its config describes it",
        "parameters": parameters,
        "batch": batch,
        "memory_gb": {
            "parameters": round(parameters * BYTES / 1e9, 1),
            "activations": round(kept / 1e9, 1),
            "both": round((parameters * BYTES + kept) / 1e9, 1),
        },
        "epochs": epochs,
        "clips": len(clips),
        "mean_clip_seconds": round(mean_seconds, 2),
        "petaflop": round(operations / 1e15, 1),
        "minutes_at_20_teraflops": round(operations / 20e12 / 60, 1),
        "clips_read_a_second": round(time_reading(clips), 1),
    }
    figures["minutes_to_read"] = round(len(clips) * epochs / figures["clips_read_a_second"] / 60, 1)
    print(figures)
    save_result(RESULTS / "gpu_estimate.json", figures, ["torch", "transformers", "audiomentations"])


def run(model: torch.nn.Module, batch: int, seconds: float) -> torch.Tensor:
    """Return the loss of a batch of noise, computed as in training."""
    sound = torch.randn(batch, int(seconds * SAMPLE_RATE))
    with torch.autocast("cpu", torch.bfloat16):
        return model(sound, labels=torch.zeros(batch, dtype=torch.long)).loss


def count_kept_bytes(model: torch.nn.Module, batch: int, seconds: float) -> int:
    """Count the bytes, without the parameters, that a forward pass keeps for the backward pass."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = run(model, batch, seconds)
    assert loss.requires_grad  # keeps what was packed alive until here, so no address is used twice
    return sum(kept.values())


def count_operations(model: torch.nn.Module, batch: int, seconds: float) -> int:
    """Count the floating-point operations of a training step's forward and backward pass."""
    with FlopCounterMode(display=False) as counter:
        run(model, batch, seconds).backward()
    return counter.get_total_flops()


def time_reading(clips: ClipDataset) -> float:
    """Measure how many clips a second one process reads and augments."""
    with seeded(0):
        clips[0]  # loads what augmentation needs
        started = time.perf_counter()
        for index in range(1, READ_CLIPS + 1):
            clips[index * (len(clips) // (READ_CLIPS + 1))]
        return READ_CLIPS / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
