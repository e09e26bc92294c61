"""The facts of one recording (`Clip`), and the columns of the dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import Audio, ClassLabel, Features, Value

from speech_emotion.audio.decoding import SAMPLE_RATE

# Of one utterance in several encodings, the first of these is kept.
EXTENSIONS = (".wav", ".flac", ".ogg", ".m4a", ".mp3")


class Rejected(Exception):
    """Raised for a file that does not become a clip; the message is the reason in the report."""


@dataclass(frozen=True)
class Clip:
    """The facts of one recording, as its corpus's names and tables state them; None: not stated.

    Attributes:
        path: the recording.
        id: unique across corpora; two files with one id are the same utterance in two encodings.
        corpus: a key of `data_prep.corpora.CORPORA`, or the name of a source of your own.
        speaker: unique across corpora, as in `ravdess-01`.
        source_emotion: the corpus's own word; None where the recording has no label.
        gender: `female` or `male`.
        age: in years.
        intensity: the corpus's own word.
        channel: `speech`, `song` or `nonspeech`.
        statement: the words, or their number in the corpus.
        language: BCP 47 tag, as in `en` or `ar-EG`; `mul` several, `und` not known, `zxx` no words.
        perceived_emotion: the word most listeners chose, several joined by `:` where they tied.
        agreement: share of listeners who chose it, 0 to 1.
        dialogue: the conversation that the recording is part of, unique across corpora.
        extra: further columns of a table of your own, as a JSON object.
        policy_word: the row of the label policy for the label, where it is not `source_emotion`.
    """

    path: Path
    id: str
    corpus: str
    speaker: str
    source_emotion: str | None
    gender: str | None = None
    age: int | None = None
    intensity: str | None = None
    channel: str = "speech"
    statement: str | None = None
    language: str | None = None
    perceived_emotion: str | None = None
    agreement: float | None = None
    dialogue: str | None = None
    extra: str | None = None
    policy_word: str | None = None


def lookup(table: dict, code: str, what: str):
    """Return `table[code]`.

    Raises:
        Rejected: the corpus does not define this code.
    """
    if code not in table:
        raise Rejected(f"unknown {what} code {code!r} in the file name")
    return table[code]


def features(labels: Sequence[str]) -> Features:
    """Return the columns of a dataset; `audio` decodes to 16 kHz mono where torchcodec is installed."""
    return Features(
        {
            "audio": Audio(sampling_rate=SAMPLE_RATE),
            "emotion": ClassLabel(names=list(labels)),  # -1: no label
            "source_emotion": Value("string"),
            "perceived_emotion": Value("string"),
            "agreement": Value("float32"),
            "corpus": Value("string"),
            "speaker": Value("string"),
            "gender": Value("string"),
            "age": Value("int32"),
            "intensity": Value("string"),
            "channel": Value("string"),
            "statement": Value("string"),
            "language": Value("string"),
            "dialogue": Value("string"),
            "extra": Value("string"),  # JSON
            "duration": Value("float32"),  # seconds
            "sha256": Value("string"),  # of the decoded 16 kHz 16-bit PCM
            "fold": Value("int32"),
        }
    )
