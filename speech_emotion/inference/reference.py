"""A speaker's own voice as a reference: what a tone means depends on how that person normally sounds.

A `Reference` is the mean of what the network's lower layers make of some clips of one speaker. A
`ReferenceHead` classifies a clip from its own such vector and its difference to the reference. Neither needs
torch. A reference has no sound in it, and no words; it may tell sex, age and recording conditions, and it can
tell whether two recordings are of one voice, so treat it like other personal data.
"""

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

HEAD = "reference_head.safetensors"  # in a model folder
SETTINGS = "reference_head.json"  # with it: temperature, threshold and how they were found
SETTING_NAMES = ("share", "temperature", "threshold", "plain_from", "own_temperature")


@dataclass(frozen=True)
class Reference:
    """How one speaker sounds.

    Attributes:
        vector: mean of the pooled states of the clips, float32, shape [width].
        clips: how many clips.
        seconds: how long they are together.
    """

    vector: np.ndarray
    clips: int
    seconds: float

    def join(self, other: "Reference") -> "Reference":
        """Return the reference of the clips of both."""
        clips = self.clips + other.clips
        vector = (self.clips * self.vector + other.clips * other.vector) / clips
        return Reference(vector.astype(np.float32), clips, self.seconds + other.seconds)

    def save(self, file: str | PathLike) -> None:
        """Write it into a file of a few kilobytes."""
        with Path(file).open("wb") as out:
            np.savez(out, vector=self.vector, clips=self.clips, seconds=self.seconds)

    @classmethod
    def load(cls, file: str | PathLike) -> "Reference":
        """Read what `save` wrote.

        Raises:
            ValueError: the file holds something else.
        """
        try:
            with np.load(file) as kept:
                return cls(kept["vector"].astype(np.float32), int(kept["clips"]), float(kept["seconds"]))
        except (OSError, KeyError, ValueError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise ValueError(f"{file} holds no reference of a speaker.") from error


class ReferenceHead:
    """A network of one hidden layer on a clip's pooled states and their difference to a reference's.

    Args:
        weights: `mean` and `scale` of shape [width], `hidden.weight` [hidden, 2 width], `hidden.bias`,
            `output.weight` [classes, hidden], `output.bias`.
        share: of the head in the logits of an answer, 0..1; the rest is the classifier's own.
        temperature: what the sum is divided by.
        threshold: confidence from which on an answer with a reference is sure.
        plain_from: probability of plain talk from which on a sentence is taken for a reference at once.
        own_temperature: what the classifier's own logits have been divided by since the share was chosen.
    """

    def __init__(
        self,
        weights: dict[str, np.ndarray],
        share: float,
        temperature: float,
        threshold: float,
        plain_from: float = 0.0,
        own_temperature: float = 1.0,
    ):
        self.weights, self.share = weights, share
        self.temperature, self.threshold = temperature, threshold
        self.plain_from, self.own_temperature = plain_from, own_temperature

    @property
    def width(self) -> int:
        """The length of a reference's vector."""
        return self.weights["mean"].size

    def logits(self, own: np.ndarray, pooled: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Compute the logits of answers with a reference.

        Args:
            own: the classifier's logits, shape [clips, classes].
            pooled: the clips' pooled states, shape [clips, width].
            reference: a reference's vector, shape [width], or one for each clip, [clips, width].

        Returns:
            float32, shape [clips, classes].
        """
        weights = self.weights
        clip = (pooled - weights["mean"]) / weights["scale"]
        difference = (pooled - reference) / weights["scale"]
        hidden = np.concatenate([clip, difference], axis=1) @ weights["hidden.weight"].T
        hidden = gelu(hidden + weights["hidden.bias"])
        head = hidden @ weights["output.weight"].T + weights["output.bias"]
        mixed = self.share * head + (1 - self.share) * self.own_temperature * own
        return (mixed / self.temperature).astype(np.float32)

    def save(self, folder: Path, about: dict) -> None:
        """Write the head into a model folder, with what is to be said about it."""
        weights = {name: np.ascontiguousarray(values, np.float32) for name, values in self.weights.items()}
        save_file(weights, folder / HEAD)
        settings = {name: getattr(self, name) for name in SETTING_NAMES}
        (folder / SETTINGS).write_text(json.dumps(settings | about, indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | PathLike) -> "ReferenceHead | None":
        """Read the head of a model folder; None where it has none."""
        head, settings = Path(folder) / HEAD, Path(folder) / SETTINGS
        if not head.is_file() or not settings.is_file():
            return None
        about = json.loads(settings.read_text())
        return cls(load_file(head), **{name: about[name] for name in SETTING_NAMES if name in about})


def gelu(values: np.ndarray) -> np.ndarray:
    """Compute x Phi(x), as torch does by default."""
    from scipy.special import erf  # late: it takes half a second, and few answers have a reference

    return values * 0.5 * (1 + erf(values / np.sqrt(2)))
