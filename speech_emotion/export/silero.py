"""Write Silero's network so that ONNX Runtime computes the same probabilities in a third of the time.

    pip install 'speech-emotion-recognition[export]'
    python -m speech_emotion.export.silero

The published graph convolves frame by frame, and the four steps of a frame are too few for a fast product.
This one multiplies the steps of all frames at once, and leaves out the taps that only meet padding. It needs
neither the package silero-vad nor torch. It lies beside `speech_emotion.audio.vad`, which runs it.
"""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

from speech_emotion.audio.vad import NETWORK

LICENCE = "MIT License, Copyright (c) 2020-present Silero Team, https://github.com/snakers4/silero-vad"

GRAPH = """
<ir_version: 8, opset_import: ["" : 16]>
silero (float[frames, 576] input, float[1, 1, 128] h, float[1, 1, 128] c)
    => (float[frames, 1] speech_probs, float[1, 1, 128] hn, float[1, 1, 128] cn)
<
    int64[1] at_0 = {0}, int64[1] at_1 = {1}, int64[1] at_2 = {2}, int64[1] at_3 = {3}, int64[1] at_4 = {4},
    int64[1] at_5 = {5}, int64[1] at_6 = {6}, int64[1] axis_1 = {1}, int64[2] halves = {129, 129},
    int64[4] end = {0, 0, 0, 64}, int64[6] before = {0, 1, 0, 0, 0, 0},
    int64[6] both_sides = {0, 1, 0, 0, 1, 0},
    int64[3] as_5_128 = {-1, 5, 128}, int64[3] as_4_129 = {-1, 4, 129}, int64[3] as_4_128 = {-1, 4, 128},
    int64[3] as_1_128 = {-1, 1, 128}, int64[2] rows_of_128 = {-1, 128}, int64[2] rows_of_256 = {-1, 256},
    int64[2] rows_of_384 = {-1, 384}, int64[2] rows_of_387 = {-1, 387}
>
{
    reflected = Pad <mode = "reflect"> (input, end)
    pieces = Reshape (reflected, as_5_128)
    one = Slice (pieces, at_0, at_4, axis_1)
    next = Slice (pieces, at_1, at_5, axis_1)
    windows = Concat <axis = 2> (one, next)
    window_rows = Reshape (windows, rows_of_256)
    spectrum = MatMul (window_rows, basis)
    real, imaginary = Split <axis = 1> (spectrum, halves)
    real_squared = Mul (real, real)
    imaginary_squared = Mul (imaginary, imaginary)
    power = Add (real_squared, imaginary_squared)
    magnitude = Sqrt (power)

    steps = Reshape (magnitude, as_4_129)
    padded_steps = Pad (steps, both_sides)
    step_before = Slice (padded_steps, at_0, at_4, axis_1)
    step = Slice (padded_steps, at_1, at_5, axis_1)
    step_after = Slice (padded_steps, at_2, at_6, axis_1)
    taps_0 = Concat <axis = 2> (step_before, step, step_after)
    rows_0 = Reshape (taps_0, rows_of_387)
    linear_0 = Gemm (rows_0, weight_0, bias_0)
    encoded_0 = Relu (linear_0)

    steps_1 = Reshape (encoded_0, as_4_128)
    padded_1 = Pad (steps_1, before)
    left = Slice (padded_1, at_0, at_3, axis_1)
    right = Slice (padded_1, at_2, at_5, axis_1)
    taps_1 = Concat <axis = 1> (left, right)
    rows_1 = Reshape (taps_1, rows_of_384)
    linear_1 = Gemm (rows_1, weight_1, bias_1)
    encoded_1 = Relu (linear_1)

    rows_2 = Reshape (encoded_1, rows_of_128)
    linear_2 = Gemm (rows_2, weight_2, bias_2)
    encoded_2 = Relu (linear_2)

    linear_3 = Gemm (encoded_2, weight_3, bias_3)
    encoded_3 = Relu (linear_3)

    sequence = Reshape (encoded_3, as_1_128)
    states, hn, cn = LSTM <hidden_size = 128> (sequence, lstm_input, lstm_hidden, lstm_bias, , h, c)
    state_rows = Reshape (states, rows_of_128)
    positive = Relu (state_rows)
    linear_4 = Gemm (positive, weight_4, bias_4)
    speech_probs = Sigmoid (linear_4)
}
"""


def main() -> None:
    """Write the network."""
    onnx.save(rewrite(onnx.load(published())), NETWORK)


def published() -> Path:
    """Return where the package silero-vad keeps the network that takes many frames at once."""
    [package] = find_spec("silero_vad").submodule_search_locations
    return Path(package, "data", "silero_vad_16k_sequence.onnx")


def rewrite(network: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network with the published weights, inputs and outputs, and `GRAPH`."""
    found = {each.name: numpy_helper.to_array(each) for each in network.graph.initializer}
    [lstm] = [node for node in network.graph.node if node.op_type == "LSTM"]

    def taps(layer: int, kept: tuple[int, ...]) -> np.ndarray:
        return np.concatenate([found[f"encoder.{layer}.weight"][:, :, tap].T for tap in kept])

    weights = {
        "basis": found["stft.forward_basis_buffer"][:, 0].T,
        "weight_0": taps(0, (0, 1, 2)),
        "weight_1": taps(1, (0, 1, 2)),
        "weight_2": taps(2, (1, 2)),  # before the first of two steps is padding
        "weight_3": taps(3, (1,)),  # around the only step is padding
        "weight_4": found["output.weight"][0],
        "bias_4": found["output.bias"],
    }
    weights |= {f"bias_{layer}": found[f"encoder.{layer}.bias"] for layer in range(4)}
    weights |= dict(
        zip(("lstm_input", "lstm_hidden", "lstm_bias"), map(found.get, lstm.input[1:4]), strict=True)
    )
    model = parser.parse_model(GRAPH)
    for name, values in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    facts = {"source": f"silero-vad {version('silero-vad')}", "licence": LICENCE}
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    main()
