"""Training above a frozen encoder: what its frozen part makes of each clip is computed once and kept.

Where the front end and the first layers stay as they are, running them again in every epoch gives the same
numbers. `FrozenStates` holds them, of each clip as it is and of several augmented copies; `Tail` is the rest
of the classifier, trained on them in a fraction of the time. Its parameters are the classifier's own, so what
was trained is saved by saving the classifier.
"""

import hashlib
import inspect
import json
import random
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

from speech_emotion import augmentation
from speech_emotion.augmentation import augment
from speech_emotion.data import crop, read_clip
from speech_emotion.models import extract

FAMILIES = ("wav2vec2", "hubert")  # whose encoders are laid out alike


class Tail(nn.Module):
    """The part of a classifier above its first layers: layers, norm, projector, mean over time, classifier.

    Args:
        model: a stock wav2vec2 or HuBERT classifier.
        frozen_layers: how many transformer layers are below, at least 1.

    Raises:
        ValueError: another architecture, or not so many layers.
    """

    def __init__(self, model: PreTrainedModel, frozen_layers: int):
        super().__init__()
        if model.config.model_type not in FAMILIES or model.config.use_weighted_layer_sum:
            raise ValueError(
                f"States are kept of wav2vec2 and HuBERT classifiers without a weighted layer sum, "
                f"not of this {model.config.model_type}."
            )
        encoder = model.base_model.encoder
        if not 1 <= frozen_layers <= len(encoder.layers):
            raise ValueError(f"{frozen_layers} frozen layers: the encoder has {len(encoder.layers)}.")
        self.config = model.config
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


class FrozenStates:
    """The states of clips after a model's first layers, kept in a file where later runs find them.

    The file grows by whatever clip or copy is not in it yet, and an interrupted run goes on where it was.
    Another encoder, another augmentation or another length makes another file.

    Args:
        model: a stock wav2vec2 or HuBERT classifier, on the device that computes.
        extractor: its feature extractor.
        frozen_layers: after how many transformer layers.
        seconds: longer clips are cropped to their start, augmented ones at random.
        folder: where the files are.
        batch_size: clips that are computed at once.
    """

    SAVED_EVERY = 100  # batches

    def __init__(
        self,
        model: PreTrainedModel,
        extractor: FeatureExtractionMixin,
        frozen_layers: int,
        seconds: float,
        folder: Path,
        batch_size: int,
    ):
        self.model, self.extractor, self.frozen_layers = model, extractor, frozen_layers
        self.seconds, self.batch_size = seconds, batch_size
        self.width = model.config.hidden_size
        self.file = folder / _fingerprint(model, frozen_layers, seconds)
        self.index = self.file.with_suffix(".json")
        folder.mkdir(parents=True, exist_ok=True)
        self.frames: np.ndarray | None = None
        self.pieces: dict[tuple[str, int], slice] = {}

    def add(self, rows: Dataset, copies: int) -> None:
        """Compute what the file lacks of these clips as they are and of so many augmented copies of each."""
        lengths = json.loads(self.index.read_text()) if self.index.exists() else []
        known = {(sha256, copy) for sha256, copy, _ in lengths}
        if missing := _Copies(rows, copies, self.seconds, known):
            self._compute(missing, lengths)
        ends = np.cumsum([frames for _, _, frames in lengths]).tolist()
        self.frames = np.memmap(self.file, np.float16, "r", shape=(ends[-1], self.width))
        self.pieces = {
            (sha256, copy): slice(end - frames, end)
            for (sha256, copy, frames), end in zip(lengths, ends, strict=True)
        }

    def get(self, sha256: str, copy: int) -> torch.Tensor:
        """Give the states of a clip's copy (0: the clip itself), float32, shape [frames, width]."""
        return torch.from_numpy(self.frames[self.pieces[sha256, copy]].astype(np.float32))

    @torch.no_grad()
    def _compute(self, missing: "_Copies", lengths: list[tuple[str, int, int]]) -> None:
        """Append the states of the copies to the file, and to `lengths` whose they are and how long."""
        encoder = self.model.base_model.encoder
        layers, encoder.layers = encoder.layers, encoder.layers[: self.frozen_layers]
        seen: list[torch.Tensor] = []
        hook = layers[self.frozen_layers - 1].register_forward_hook(lambda *call: seen.append(call[-1]))
        loader = DataLoader(missing, self.batch_size, collate_fn=list, num_workers=1)
        self.model.eval()
        with self.file.open("ab") as out:
            out.truncate(sum(frames for _, _, frames in lengths) * self.width * np.float16().itemsize)
            bar = tqdm(loader, desc="frozen part", unit="batch")
            for number, batch in enumerate(bar, start=1):
                clips = [audio for _, _, audio in batch]
                inputs = extract(self.extractor, clips)
                self.model.base_model(
                    **{name: tensor.to(self.model.device) for name, tensor in inputs.items()}
                )
                samples = torch.tensor([clip.size for clip in clips])
                frames = self.model._get_feat_extract_output_lengths(samples).tolist()
                for (sha256, copy, _), length, states in zip(batch, frames, seen.pop(), strict=True):
                    out.write(states[:length].cpu().to(torch.float16).numpy().tobytes())
                    lengths.append((sha256, copy, length))
                if number % self.SAVED_EVERY == 0 or number == len(loader):
                    out.flush()
                    part = self.index.with_suffix(".part")
                    part.write_text(json.dumps(lengths))
                    part.replace(self.index)
        hook.remove()
        encoder.layers = layers


class StateDataset(torch.utils.data.Dataset):
    """Rows as a `Tail` is trained on them: states of a copy drawn at random, label beside.

    Args:
        states: of at least these rows and copies.
        rows: a split of the dataset.
        copies: draw among the clip itself and so many copies.
    """

    def __init__(self, states: FrozenStates, rows: Dataset, copies: int):
        self.states = states
        self.sha256s, self.labels = rows["sha256"][:], rows["emotion"][:]
        self.durations = [min(duration, states.seconds) for duration in rows["duration"]]
        self.copies = copies

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        copy = np.random.randint(self.copies + 1)
        return {"states": self.states.get(self.sha256s[index], copy), "label": self.labels[index]}


def collate_states(clips: list[dict]) -> dict[str, torch.Tensor]:
    """Batch items of a StateDataset: states padded to the longest, a mask of where each ends, labels."""
    states = [clip["states"] for clip in clips]
    lengths = torch.tensor([len(own) for own in states])
    return {
        "states": nn.utils.rnn.pad_sequence(states, batch_first=True),
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
            random.seed(seed)
            np.random.seed(seed)
            audio = augment(audio)
        return clip["sha256"], copy, crop(audio, self.seconds, at_random=copy > 0)


def _fingerprint(model: PreTrainedModel, frozen_layers: int, seconds: float) -> str:
    """Hash what the states depend on: the frozen parameters, the changes to copies, the length."""
    digest = hashlib.sha256(f"{seconds} {inspect.getsource(augmentation)}".encode())
    for name, parameter in model.base_model.state_dict().items():
        above = name.startswith("encoder.layers.") and int(name.split(".")[2]) >= frozen_layers
        if not above:
            digest.update(name.encode() + parameter.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
