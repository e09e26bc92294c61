"""Where in a recording somebody speaks, by Silero VAD (https://github.com/snakers4/silero-vad).

Silero's network runs in ONNX Runtime. Its package is not imported: that imports torch and sets its threads.
"""

from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import SILENCE_DBFS, peak_dbfs

FRAME, CONTEXT = 512, 64  # samples of a frame, and of those before it that the network also takes
BLOCK = 512  # frames that the network takes at once, 16 s
ONSET, OFFSET = 0.5, 0.35  # speech starts at a probability of the first and ends below the second
SENSITIVE_ONSET, SENSITIVE_OFFSET = 0.3, 0.15
DIGITAL_SILENCE = 3e-4  # of the peak, 70 dB below it: a few steps of 16 bits, quieter than any room
MIN_FRAMES = 3  # of speech, 0.1 s
PAUSE_SECONDS = 0.3  # a shorter pause does not end an utterance
MARGIN_SECONDS = 0.1  # kept before and after an utterance


@cache
def _session() -> onnxruntime.InferenceSession:
    [package] = find_spec("silero_vad").submodule_search_locations
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(Path(package, "data", "silero_vad_16k_sequence.onnx"), options)


def speech_probabilities(audio: np.ndarray) -> np.ndarray:
    """Compute the probability of speech in each frame of 32 ms.

    Args:
        audio: float32 samples of shape [n], 16 kHz.

    Returns:
        float32, shape [ceil(n / 512)]; the last frame is filled up with silence.
    """
    frames = np.pad(audio, (CONTEXT, -audio.size % FRAME)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(frames, CONTEXT + FRAME)[::FRAME]
    hidden = cell = np.zeros((1, 1, 128), np.float32)
    blocks = []
    for start in range(0, len(frames), BLOCK):
        inputs = {"input": frames[start : start + BLOCK].copy(), "h": hidden, "c": cell}
        block, hidden, cell = _session().run(["speech_probs", "hn", "cn"], inputs)
        blocks.append(block.ravel())
    return np.concatenate(blocks)


def detect_speech(audio: np.ndarray, sensitive: bool = False) -> list[slice]:
    """Find the utterances of a recording.

    Args:
        audio: float32 samples of shape [n], 16 kHz.
        sensitive: whether to take weaker evidence: for a recording in which nobody seems to speak otherwise.

    Returns:
        The samples of each utterance with a margin, in order, none of them overlapping.
    """
    if peak_dbfs(audio) < SILENCE_DBFS:  # hours of silence take few bytes, and should take little time
        return []
    level = np.abs(audio)
    [heard] = np.nonzero(level > DIGITAL_SILENCE * level.max())
    first, last = heard[0], heard[-1] + 1  # digital silence around a clip does not change its answer
    onset, offset = (SENSITIVE_ONSET, SENSITIVE_OFFSET) if sensitive else (ONSET, OFFSET)
    pause = round(PAUSE_SECONDS * SAMPLE_RATE / FRAME)
    runs = find_runs(speech_probabilities(audio[first:last]), onset, offset, pause)
    runs = [run for run in runs if run.stop - run.start >= MIN_FRAMES]
    spans = add_margins([slice(run.start * FRAME, run.stop * FRAME) for run in runs], last - first)
    return [slice(int(first + span.start), int(first + span.stop)) for span in spans]


def find_runs(probabilities: np.ndarray, onset: float, offset: float, pause: int) -> list[slice]:
    """Find the runs of frames in which somebody speaks.

    Args:
        probabilities: of speech, shape [frames].
        onset: the probability at which a run starts.
        offset: the probability below which it ends.
        pause: the number of frames below `offset` that end a run.
    """
    runs: list[slice] = []
    start = end = None  # of the run so far: its first frame, and the frame after its last
    for frame, probability in enumerate(probabilities):
        if start is None and probability >= onset:
            start = frame
        if start is not None and probability >= offset:
            end = frame + 1
        elif start is not None and frame - end + 1 >= pause:
            runs.append(slice(start, end))
            start = None
    return runs if start is None else [*runs, slice(start, end)]


def add_margins(spans: list[slice], size: int) -> list[slice]:
    """Widen spans of samples by `MARGIN_SECONDS`, without overlap, in a recording of `size` samples."""
    margin = int(MARGIN_SECONDS * SAMPLE_RATE)
    limits = [0, *((one.stop + other.start) // 2 for one, other in pairwise(spans)), size]
    return [
        slice(max(span.start - margin, limits[index]), min(span.stop + margin, limits[index + 1]))
        for index, span in enumerate(spans)
    ]
