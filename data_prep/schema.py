"""What one recording is (`Clip`), and the columns of the dataset made from it."""

from dataclasses import dataclass
from pathlib import Path

from datasets import Audio, ClassLabel, Features, Value

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.labels import SCHEMES

# Where one utterance is published in several encodings, the first of these wins.
EXTENSIONS = (".wav", ".flac", ".ogg", ".m4a", ".mp3")


class Rejected(Exception):
    """A file that does not become a clip; the message is the reason in the report."""


@dataclass(frozen=True)
class Clip:
    """The facts of one recording, as its corpus's names and tables state them; None: not stated.

    Attributes:
        path: where the recording is.
        id: unique across corpora; two files with one id are the same utterance in two encodings.
        corpus: a key of `data_prep.corpora.CORPORA`, or the name of a source of your own.
        speaker: unique across corpora, as in `ravdess-01`.
        source_emotion: the corpus's own word, a row of the label policy.
        gender: `female` or `male`.
        age: in years.
        intensity: the corpus's own word.
        channel: `speech`, `song` or `nonspeech`.
        statement: what is said, or its number in the corpus.
        language: ISO 639-1 code.
        perceived_emotion: the word most listeners chose, several joined by `:` where they tied.
        agreement: share of listeners who chose it, 0 to 1.
    """

    path: Path
    id: str
    corpus: str
    speaker: str
    source_emotion: str
    gender: str | None = None
    age: int | None = None
    intensity: str | None = None
    channel: str = "speech"
    statement: str | None = None
    language: str | None = None
    perceived_emotion: str | None = None
    agreement: float | None = None


def lookup(table: dict, code: str, what: str):
    """Give `table[code]`, or reject the file for a code its corpus does not define."""
    if code not in table:
        raise Rejected(f"unknown {what} code {code!r} in the file name")
    return table[code]


def features(scheme: str) -> Features:
    """Columns of the dataset; `audio` decodes to 16 kHz mono where torchcodec is installed."""
    return Features(
        {
            "audio": Audio(sampling_rate=SAMPLE_RATE),
            "emotion": ClassLabel(names=list(SCHEMES[scheme])),
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
            "duration": Value("float32"),  # seconds
            "sha256": Value("string"),  # of the decoded 16 kHz 16-bit PCM
            "fold": Value("int32"),
        }
    )
