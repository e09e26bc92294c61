import numpy as np
import onnx
import onnxruntime
from conftest import pause, speak

from speech_emotion.audio.vad import CONTEXT, FRAME, NETWORK
from speech_emotion.export.silero import published, rewrite


def test_the_rewritten_network_gives_the_published_probabilities():
    audio = np.concatenate([pause(0.5), speak(), pause(0.5), speak(250)])
    frames = np.lib.stride_tricks.sliding_window_view(audio, CONTEXT + FRAME)[::FRAME].copy()
    inputs = {
        "input": frames,
        "h": np.full((1, 1, 128), 0.1, np.float32),
        "c": np.ones((1, 1, 128), np.float32),
    }
    expected = onnxruntime.InferenceSession(published()).run(["speech_probs", "hn", "cn"], inputs)
    found = onnxruntime.InferenceSession(NETWORK).run(["speech_probs", "hn", "cn"], inputs)
    assert expected[0].min() < 0.1 < 0.9 < expected[0].max()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.ravel(), other.ravel(), atol=1e-4)


def test_the_network_in_the_package_is_what_the_command_writes():
    stored, written = onnx.load(NETWORK), rewrite(onnx.load(published()))
    for graph in (stored.graph, written.graph):  # the parser puts constants in any order
        graph.initializer.sort(key=lambda each: each.name)
    assert stored.graph == written.graph
