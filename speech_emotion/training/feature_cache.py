"""Training above a frozen part: what it makes of each clip is computed once and kept.

Where a front end and the first layers stay as they are, running them again in every epoch gives the same
numbers; a CNN's spectrogram is such a front end, too. `FeatureCache` holds them, of each clip as it is and of
several augmented copies. The upper layers are trained on them in a fraction of the time. Their
parameters are the classifier's own, so what was trained is saved by saving the classifier.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import FeatureExtractionMixin, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import SequenceClassifierOutput

from speech_emotion.atomic import atomic_write
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.dataset import crop, read_clip
from speech_emotion.models.cnn import WaveformClassifier
from speech_emotion.models.loading import extract
from speech_emotion.training import augmentation
from speech_emotion.training.augmentation import augment
from speech_emotion.training.inputs import seeded

FAMILIES = ("wav2vec2", "hubert")  # whose encoders are laid out alike


class UpperLayers(nn.Module):
    """The part of a classifier that is trained; `compute` runs the part below.

    Args:
        model: the classifier.
        width: of a state.
    """

    def __init__(self, model: PreTrainedModel, width: int):
        super().__init__()
        self.config = model.config
        self.width = width
        self.whole = (model,)  # in a tuple, so that its frozen parameters are none of the upper's

    def compute(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute states of shape [clips, frames, width] of waveforms of shape [clips, samples]."""
        raise NotImplementedError

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Give the number of states of clips of so many samples."""
        raise NotImplementedError

    def frozen(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Give the parameters that the states depend on, by their names."""
        raise NotImplementedError


class UpperEncoder(UpperLayers):
    """The part above the first layers of an encoder: layers, norm, projector, mean over time, classifier.

    Args:
        model: a stock wav2vec2 or HuBERT classifier.
        frozen_layers: how many transformer layers are below, at least 1.

    Raises:
        ValueError: another architecture, or not so many layers.
    """

    def __init__(self, model: PreTrainedModel, frozen_layers: int):
        if model.config.model_type not in FAMILIES or model.config.use_weighted_layer_sum:
            raise ValueError(
                f"States are kept of wav2vec2 and HuBERT classifiers without a weighted layer sum, "
                f"not of this {model.config.model_type}."
            )
        encoder = model.base_model.encoder
        if not 1 <= frozen_layers <= len(encoder.layers):
            raise ValueError(f"{frozen_layers} frozen layers: the encoder has {len(encoder.layers)}.")
        super().__init__(model, model.config.hidden_size)
        self.frozen_layers = frozen_layers
        self.layers = encoder.layers[frozen_layers:]
        # Without "stable" norms the encoder's norm comes before its layers, in the frozen part.
        self.norm = encoder.layer_norm if model.config.do_stable_layer_norm else nn.Identity()
        self.projector = model.projector
        self.classifier = model.classifier

    def forward(self, states: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
        """Compute logits.

        Args:
            states: shape [clips, frames, width].
            attention_mask: shape [clips, frames]; False where a clip has ended.
        """
        mask = create_bidirectional_mask(
            config=self.config, inputs_embeds=states, attention_mask=attention_mask
        )
        for layer in self.layers:
            states = layer(states, attention_mask=mask)
        states = self.projector(self.norm(states)) * attention_mask[..., None]
        pooled = states.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)
        return SequenceClassifierOutput(logits=self.classifier(pooled))

    def compute(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute the states after the frozen layers."""
        [model] = self.whole
        encoder, seen = model.base_model.encoder, []
        layers, encoder.layers = encoder.layers, encoder.layers[: self.frozen_layers]
        hook = layers[self.frozen_layers - 1].register_forward_hook(lambda *call: seen.append(call[-1]))
        try:
            model.base_model(input_values, attention_mask=attention_mask)
        finally:
            hook.remove()
            encoder.layers = layers
        return seen.pop()

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Give the number of states of clips of so many samples."""
        return self.whole[0]._get_feat_extract_output_lengths(samples)

    def frozen(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Give the parameters of the front end and the frozen layers."""
        for name, parameter in self.whole[0].base_model.state_dict().items():
            above = name.startswith("encoder.layers.") and int(name.split(".")[2]) >= self.frozen_layers
            if not above:
                yield name, parameter


class UpperCNN(UpperLayers):
    """All of a CNN but its spectrogram.

    Args:
        model: a CNN of this project.
    """

    def __init__(self, model: WaveformClassifier):
        second = torch.zeros(1, SAMPLE_RATE, device=model.device)
        super().__init__(model, model.rows(second, torch.ones_like(second))[0].shape[1])
        self.model = model

    def forward(self, states: torch.Tensor, attention_mask: torch.Tensor) -> SequenceClassifierOutput:
        """Compute logits.

        Args:
            states: spectrograms, shape [clips, frames, rows].
            attention_mask: shape [clips, frames]; False where a clip has ended.
        """
        rows, mask = states.transpose(1, 2), attention_mask.float().unsqueeze(1)
        return SequenceClassifierOutput(logits=self.model.classify(rows, mask))

    def compute(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Compute the spectrograms."""
        return self.model.rows(input_values, attention_mask)[0].transpose(1, 2)

    def frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Give the number of frames of clips of so many samples."""
        return self.model.frames(samples)

    def frozen(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Give what the spectrogram makes of noise that swells: a CNN's front end has settings alone."""
        noise = torch.randn(1, SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
        swelling = (noise * torch.logspace(-4, 0, SAMPLE_RATE)).to(self.model.device)
        yield type(self.model).__name__, self.compute(swelling, torch.ones_like(swelling)).half()


class FeatureCache:
    """The states of clips after a model's first layers, kept in a file where later runs find them.

    The file grows by whatever clip or copy is not in it yet, and an interrupted run goes on where it was.
    Another encoder, another augmentation or another length makes another file.

    Args:
        upper: what is trained on the states, on the device that computes.
        extractor: the classifier's feature extractor.
        seconds: longer clips are cropped to their start, augmented ones at random.
        folder: where the files are.
        batch_size: clips that are computed at once.
    """

    SAVED_EVERY = 100  # batches

    def __init__(
        self,
        upper: UpperLayers,
        extractor: FeatureExtractionMixin,
        seconds: float,
        folder: Path,
        batch_size: int,
    ):
        self.upper, self.extractor = upper, extractor
        self.seconds, self.batch_size = seconds, batch_size
        self.file = folder / _fingerprint(upper, seconds)
        self.index = self.file.with_suffix(".json")
        folder.mkdir(parents=True, exist_ok=True)
        self.frames: np.ndarray | None = None
        self.pieces: dict[tuple[str, int], slice] = {}

    def add(self, rows: Dataset, copies: int) -> None:
        """Compute what the file lacks of these clips as they are and of so many augmented copies of each."""
        lengths = self._lengths()
        known = {(sha256, copy) for sha256, copy, _ in lengths}
        if missing := _Copies(rows, copies, self.seconds, known):
            self._compute(missing, lengths)
        ends = np.cumsum([frames for _, _, frames in lengths]).tolist()
        self.frames = np.memmap(self.file, np.float16, "r", shape=(ends[-1], self.upper.width))
        self.pieces = {
            (sha256, copy): slice(end - frames, end)
            for (sha256, copy, frames), end in zip(lengths, ends, strict=True)
        }

    def get(self, sha256: str, copy: int) -> torch.Tensor:
        """Give the states of a clip's copy (0: the clip itself), float32, shape [frames, width]."""
        return torch.from_numpy(self.frames[self.pieces[sha256, copy]].astype(np.float32))

    def _lengths(self) -> list[tuple[str, int, int]]:
        """Read whose states the file holds and how long they are; what either file has lost is left out."""
        try:
            lengths = json.loads(self.index.read_text())
        except (FileNotFoundError, ValueError):
            return []
        there = self.file.stat().st_size if self.file.exists() else 0
        ends = np.cumsum([frames for _, _, frames in lengths]) * self.upper.width * np.float16().itemsize
        return lengths[: int(np.searchsorted(ends, there, side="right"))]

    @torch.no_grad()
    def _compute(self, missing: "_Copies", lengths: list[tuple[str, int, int]]) -> None:
        """Append the states of the copies to the file, and to `lengths` whose they are and how long."""
        loader = DataLoader(missing, self.batch_size, collate_fn=list, num_workers=1)
        [model] = self.upper.whole
        model.eval()
        with self.file.open("ab") as out:
            out.truncate(sum(frames for _, _, frames in lengths) * self.upper.width * np.float16().itemsize)
            bar = tqdm(loader, desc="frozen part", unit="batch")
            for number, batch in enumerate(bar, start=1):
                clips = [audio for _, _, audio in batch]
                inputs = extract(self.extractor, clips)
                found = self.upper.compute(
                    **{name: tensor.to(model.device) for name, tensor in inputs.items()}
                )
                frames = self.upper.frames(torch.tensor([clip.size for clip in clips])).tolist()
                for (sha256, copy, _), length, states in zip(batch, frames, found, strict=True):
                    out.write(states[:length].cpu().to(torch.float16).numpy().tobytes())
                    lengths.append((sha256, copy, length))
                if number % self.SAVED_EVERY == 0 or number == len(loader):
                    out.flush()
                    atomic_write(self.index, json.dumps(lengths))


class CachedDataset(torch.utils.data.Dataset):
    """Rows as a `UpperLayers` is trained on them: states of a copy drawn at random, label beside.

    Args:
        states: of at least these rows and copies.
        rows: a split of the dataset.
        copies: draw among the clip itself and so many copies.
        teach: returns a clip's distillation targets by its hash and its copy's frames.
    """

    def __init__(
        self,
        states: FeatureCache,
        rows: Dataset,
        copies: int,
        teach: Callable[[str, int], torch.Tensor] | None = None,
    ):
        self.states = states
        self.sha256s, self.labels = rows["sha256"][:], rows["emotion"][:]
        self.durations = [min(duration, states.seconds) for duration in rows["duration"]]
        self.copies = copies
        self.teach = teach

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        sha256 = self.sha256s[index]
        states = self.states.get(sha256, np.random.randint(self.copies + 1))
        clip = {"states": states, "label": self.labels[index]}
        return clip | ({"lessons": self.teach(sha256, len(states))} if self.teach else {})


def collate_cached(clips: list[dict]) -> dict[str, torch.Tensor]:
    """Batch items of a CachedDataset: what has frames padded to the longest, a mask of the states, labels."""
    lengths = torch.tensor([len(clip["states"]) for clip in clips])
    padded = {
        name: nn.utils.rnn.pad_sequence([clip[name] for clip in clips], batch_first=True)
        for name in clips[0]
        if name != "label"
    }
    return padded | {
        "attention_mask": torch.arange(lengths.max()) < lengths[:, None],
        "labels": torch.tensor([clip["label"] for clip in clips]),
    }


class _Copies(torch.utils.data.Dataset):
    """Every clip, then every clip's first augmented copy, and so on; each alike whoever computes it.

    Those already known are left out.
    """

    def __init__(self, rows: Dataset, copies: int, seconds: float, known: set[tuple[str, int]]):
        self.rows, self.seconds = rows, seconds
        sha256s = rows["sha256"][:]
        order = np.argsort(rows["duration"], kind="stable").tolist()  # batches of about one length
        self.items = [
            (row, copy) for copy in range(copies + 1) for row in order if (sha256s[row], copy) not in known
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[str, int, np.ndarray]:
        row, copy = self.items[index]
        clip = self.rows[row]
        audio = read_clip(clip)
        if copy:
            seed = int.from_bytes(hashlib.sha256(f"{clip['sha256']} {copy}".encode()).digest()[:4])
            with seeded(seed):
                return clip["sha256"], copy, crop(augment(audio), self.seconds, at_random=True)
        return clip["sha256"], copy, crop(audio, self.seconds, at_random=False)


def _fingerprint(upper: UpperLayers, seconds: float) -> str:
    """Hash what the states depend on: the frozen parameters, the changes to copies, the length."""
    digest = hashlib.sha256(f"{seconds} {inspect.getsource(augmentation)}".encode())
    for name, parameter in upper.frozen():
        digest.update(name.encode() + parameter.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
