"""Write a classifier as ONNX into its folder, in float32 and in int8, for this program and for the browser.

    pip install 'speech-emotion-recognition[export]'
    python -m speech_emotion.export models/wav2vec2 --data data/emotion

An export is kept only where it answers like the checkpoint on real clips: of those of the test split, 99 %
get the same label, and UAR differs by half a point at most. `export.json` has the figures.

The files are `onnx/model.onnx` and `onnx/model_quantized.onnx`, as on the hub: so transformers.js and optimum
open them. The first takes batches where the model's feature extractor makes a mask of what is padding.
Without a mask, padding would change the answers of shorter clips; and int8, whose scale is that of a whole
batch, would change the answers of all of them. Such exports take one clip at a time.

The network is rewritten so that ONNX Runtime does less for the same numbers: the front end's convolutions are
matrix products over frames that need not be transposed, and the positional convolution leaves out channels
and taps that are zero. int8 goes where it is harmless: the products are taken one after another, from the one
that moves the logits of validation speakers least for its cost, until together they move them by
`INT8_ERROR`.
"""

import argparse
import json
import logging
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from datasets import Dataset
from onnxruntime.quantization import QuantType, quantize_dynamic
from scipy.special import softmax
from torch import nn
from tqdm import tqdm
from transformers import FeatureExtractionMixin, PreTrainedModel

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import MIN_SPEECH_SECONDS
from speech_emotion.dataset import crop, open_dataset, read_clip
from speech_emotion.evaluation.metrics import EmotionMetric
from speech_emotion.inference.backends import (
    POOLED,
    ExportError,
    TorchBackend,
    name_inputs,
    probe,
    run_onnx,
    tap_pooled,
)
from speech_emotion.machine import describe_machine
from speech_emotion.models.folder import EXPORTS, SETTINGS, digest_weights
from speech_emotion.models.loading import WINDOW_SECONDS, load_classifier

MIN_AGREEMENT = 0.99  # share of clips that get the checkpoint's label
MAX_UAR_CHANGE = 0.005
INT8_ERROR = 0.035  # root mean square by which int8 may move a logit
PARALLEL = 1e-6  # by how much the cosine of two rows may miss 1
LEAST_WEIGHTS = 2**14  # of a product that is worth int8
CHOICE_CLIPS = 48  # validation clips on which products are chosen for int8
PARITY_CLIPS = 600  # test clips on which an export must answer like the checkpoint, drawn at random
FOR_BROWSERS = "transformers.js_config"
STORED = ".stored"  # ends the name of a matrix that is stored in fewer bits than it is computed in
FAMILIES = ("wav2vec2", "hubert")  # whose networks are laid out alike


def main(arguments: list[str] | None = None) -> None:
    """Export the folders that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m speech_emotion.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, help="model folders")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    options = parser.parse_args(arguments)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # of the exporter and the quantiser, about themselves
    try:
        dataset = open_dataset(options.data)
        for folder in options.folders:
            export(folder, dataset["validation"], dataset["test"])
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    finally:
        logging.disable(before)


def export(folder: Path, validation: Dataset, test: Dataset) -> None:
    """Write a classifier's exports, the one in int8 only of wav2vec2 and HuBERT.

    Args:
        folder: with a checkpoint.
        validation: rows on which products are chosen for int8.
        test: rows on which an export must answer like the checkpoint.

    Raises:
        ModelError: the folder's model cannot be loaded.
        ExportError: it does not take waveforms, or the float32 export does not answer like it; nothing is
            written. An int8 export that does not is left out.
    """
    model, extractor = load_classifier(folder)
    if extractor.model_input_names[0] != "input_values":
        raise ExportError(f"{folder} takes spectrograms; only models that take waveforms are exported.")
    test = test.shuffle(0).select(range(min(PARITY_CLIPS, len(test))))
    clips, truth = read_clips(test), np.array(test["emotion"])
    expected = TorchBackend(model, extractor).run(clips)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        int8, float32 = [Path(aside, file) for file in EXPORTS.values()]
        float32.parent.mkdir()
        write_float32(model, float32, takes_mask(model, extractor))
        if model.config.model_type in FAMILIES:
            few = validation.shuffle(0).select(range(min(CHOICE_CLIPS, len(validation))))
            write_int8(float32, int8, extractor, read_clips(few))
        shrink_weights(float32)
        parity = {}
        for file in (each for each in (int8, float32) if each.exists()):
            [logits] = run_onnx(onnxruntime.InferenceSession(file), extractor, clips, ["logits"])
            name = str(file.relative_to(aside))
            try:
                parity[name] = check_parity(name, logits, expected, truth)
            except ExportError as error:
                if file == float32:
                    raise
                print(error)  # the other export serves without it
                (folder / name).unlink(missing_ok=True)
                continue
            sign(file, digest_weights(folder), extractor)
        (folder / float32.parent.name).mkdir(exist_ok=True)
        for name in parity:
            Path(aside, name).replace(folder / name)
    name_default(folder)
    report = {"split": "test", "clips": len(clips), "parity": parity, "measured_on": describe_machine()}
    report |= {"command": shlex.join(["python", *sys.orig_argv[1:]])}
    (folder / "export.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(parity, indent=1))


def name_default(folder: Path) -> None:
    """Name in the model's settings the export that transformers.js opens; by default it asks for int8."""
    path = folder / SETTINGS[0]
    settings = json.loads(path.read_text())
    settings.pop(FOR_BROWSERS, None)
    if not (folder / EXPORTS["ONNX Runtime int8"]).exists():
        settings[FOR_BROWSERS] = {"dtype": "fp32"}
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def read_clips(rows: Dataset) -> list[np.ndarray]:
    """Decode rows: the first window of each, float32, shape [n], 16 kHz."""
    return [crop(read_clip(row), WINDOW_SECONDS, at_random=False) for row in rows]


def takes_mask(model: PreTrainedModel, extractor: FeatureExtractionMixin) -> bool:
    """Return whether an export can be told what is padding.

    A front end that normalises over time does so clip by clip (`models.group_norm`): ONNX has no such loop.
    """
    return extractor.return_attention_mask and getattr(model.config, "feat_extract_norm", None) != "group"


def write_float32(model: PreTrainedModel, file: Path, masked: bool) -> None:
    """Write the network as it is.

    `input_values`, [clips, samples], become `logits`, [clips, classes], and of a model with a pooling layer
    `pooled`, [clips, width], for a reference head. Their `attention_mask` is 1 for sound and 0 for padding;
    without it there is one clip.
    """
    if model.config.model_type in FAMILIES:
        streamline(model)
    axes = {1: torch.export.Dim("samples", min=int(MIN_SPEECH_SECONDS * SAMPLE_RATE))}
    inputs = {"input_values": torch.zeros(1, SAMPLE_RATE)}
    if masked:
        axes[0] = torch.export.Dim("clips")
        waves = torch.zeros(2, SAMPLE_RATE)  # one alone would be taken for a fixed number
        inputs = {"input_values": waves, "attention_mask": torch.ones_like(waves, dtype=torch.int64)}
    pools = getattr(model.config, "pooling_layer", False)
    torch.onnx.export(
        Outputs(model, pools).eval(),
        tuple(inputs.values()),
        file,
        input_names=list(inputs),
        output_names=["logits", POOLED] if pools else ["logits"],
        dynamic_shapes=(axes,) * len(inputs),
        external_data=False,
        verbose=False,
    )
    forget_traces(file)


def forget_traces(file: Path) -> None:
    """Remove what the exporter says of the program that it ran in: paths and lines of every step."""
    model = onnx.load(file)
    graph = model.graph
    for each in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        each.doc_string = ""
        del each.metadata_props[:]
    onnx.save(model, file)


def shrink_weights(file: Path) -> None:
    """Store an export's large matrices in 8 bits where that loses nothing, and else in half precision.

    ONNX Runtime computes in float32 all the same: it carries out what stands behind each matrix once, when it
    loads the file.
    """
    model = onnx.load(file)
    nodes, factors = [], []
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < LEAST_WEIGHTS:
            continue
        name, steps = weight.name, as_steps(values)
        if steps is None:
            weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + STORED))
            nodes.append(onnx.helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT))
            continue
        numbers, zero, step = steps
        weight.CopyFrom(onnx.numpy_helper.from_array(numbers, name + STORED))
        for part, value in (("zero", zero), ("step", step)):
            factors.append(onnx.numpy_helper.from_array(np.float32(value), f"{name}.{part}"))
        make = onnx.helper.make_node
        nodes += [
            make("Cast", [weight.name], [f"{name}.number"], to=onnx.TensorProto.FLOAT),
            make("Sub", [f"{name}.number", f"{name}.zero"], [f"{name}.centred"]),
            make("Mul", [f"{name}.centred", f"{name}.step"], [name]),
        ]
    model.graph.initializer.extend(factors)
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, file)


def as_steps(values: np.ndarray) -> tuple[np.ndarray, int, float] | None:
    """Return a matrix as (number - zero) * step, the numbers uint8; None where half precision is closer.

    So are the layers of a Whisper that was published in 8 bits.
    """
    levels = np.unique(values)
    if levels.size > 256:
        return None
    span = float(levels[-1] - levels[0])
    least = float(np.abs(levels[levels != 0]).min(initial=np.inf))
    count = max(round(span / least), 1)
    step = span / count if span else 1.0
    zero = round(-float(levels[0]) / step)
    numbers = np.round(values / step) + zero
    close = np.abs((numbers - zero) * step - values) <= 2.0**-10 * np.abs(values)
    if not close.all() or numbers.min() < 0 or numbers.max() > 255:
        return None
    return numbers.astype(np.uint8), zero, step


class Outputs(nn.Module):
    """A classifier that returns its logits alone, or with what its last layer pools."""

    def __init__(self, model: PreTrainedModel, pools: bool):
        super().__init__()
        self.model, self.pools = model, pools

    def forward(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Compute logits, [clips, classes], and pooled states, [clips, width], of [clips, samples]."""
        if not self.pools:
            return self.model(input_values, attention_mask=attention_mask).logits
        with tap_pooled(self.model) as pooled:
            logits = self.model(input_values, attention_mask=attention_mask).logits
        return logits, pooled.pop()


def streamline(model: PreTrainedModel) -> None:
    """Put modules that compute the same with less work in the places of the convolutions."""
    front_end = model.base_model.feature_extractor
    front_end.conv_layers = nn.ModuleList([FramesFirst(front_end.conv_layers), Transposed()])
    positions = model.base_model.encoder.pos_conv_embed
    if isinstance(positions.conv, nn.Conv1d):
        positions.conv, positions.padding = LeanConv(positions.conv), nn.Identity()


class FramesFirst(nn.Module):
    """The front end with channels last: convolutions after the first are matrix products over frames."""

    def __init__(self, layers: nn.ModuleList):
        super().__init__()
        self.first, self.layers = layers[0], layers[1:]
        self.products = nn.ModuleList(make_product(layer.conv) for layer in self.layers)

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        """Compute [clips, frames, channels] of [clips, 1, samples]."""
        hidden = self.first(waves).transpose(1, 2)
        for layer, product in zip(self.layers, self.products, strict=True):
            [size], [stride] = layer.conv.kernel_size, layer.conv.stride
            if size > 1:
                hidden = hidden.unfold(1, size, stride).transpose(2, 3).flatten(2)
            hidden = product(hidden)
            if hasattr(layer, "layer_norm"):
                hidden = layer.layer_norm(hidden)
            hidden = layer.activation(hidden)
        return hidden


def make_product(conv: nn.Conv1d) -> nn.Module:
    """Make the matrix product that a convolution is of the samples under its kernel.

    Outputs whose weights are multiples of one another share a product, where that saves half of it: the
    thresholds to which a distilled encoder compares each mel band.
    """
    weight = conv.weight.detach().transpose(1, 2).flatten(1)
    norms = weight.norm(dim=1, keepdim=True)
    directions = weight / torch.where(norms == 0, 1.0, norms)
    unlike = []  # outputs that are no multiple of one before
    for index, direction in enumerate(directions):
        if norms[index] > 0 and not (directions[unlike] @ direction).abs().gt(1 - PARALLEL).any():
            unlike.append(index)
    if 2 * len(unlike) * sum(weight.shape) > weight.numel():
        return make_linear(weight, conv.bias)
    shares = directions @ directions[unlike].T
    kept = shares.abs() == shares.abs().amax(dim=1, keepdim=True)
    return nn.Sequential(make_linear(directions[unlike], None), make_linear(shares * kept * norms, conv.bias))


def make_linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """Make a layer of a matrix of shape [outputs, inputs]."""
    layer = nn.Linear(*weight.T.shape, bias=bias is not None)
    layer.weight, layer.bias = nn.Parameter(weight.contiguous()), bias
    return layer


class Transposed(nn.Module):
    """Move the channels to where the encoder expects them."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Turn [clips, frames, channels] into [clips, channels, frames]."""
        return hidden.transpose(1, 2)


class LeanConv(nn.Module):
    """A grouped convolution that keeps the number of frames, without the channels and taps that are zero.

    The positional convolution of a distilled encoder hears one channel of every four, and no later frames.
    """

    def __init__(self, conv: nn.Conv1d):
        super().__init__()
        weight = conv.weight.detach()
        channels = weight.abs().sum((0, 2)).nonzero().flatten()
        taps = weight.abs().sum((0, 1)).nonzero().flatten()
        first, last = (int(taps[0]), int(taps[-1])) if taps.numel() else (0, 0)
        of_groups = torch.arange(conv.groups)[:, None] * weight.shape[1]
        self.register_buffer("channels", (of_groups + channels).flatten())
        self.weight = nn.Parameter(weight[:, channels, first : last + 1].contiguous())
        self.bias, self.groups = conv.bias, conv.groups
        self.padding = conv.padding[0] - first, last - conv.padding[0]

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Transform [clips, channels, frames]."""
        hidden = nn.functional.pad(hidden[:, self.channels], self.padding)
        return nn.functional.conv1d(hidden, self.weight, self.bias, groups=self.groups)


def write_int8(float32: Path, int8: Path, extractor: FeatureExtractionMixin, clips: list[np.ndarray]) -> None:
    """Write the network with int8 products where they are harmless.

    Args:
        float32: the network as it is.
        int8: where to write.
        extractor: the classifier's feature extractor.
        clips: waveforms to choose by.
    """

    def run(file: Path) -> np.ndarray:
        [logits] = run_onnx(onnxruntime.InferenceSession(file), extractor, clips, ["logits"])
        return logits

    def quantise(products: list[str]) -> None:
        quantize_dynamic(
            float32,
            int8,
            per_channel=True,
            reduce_range=True,  # 7 bits: sums of 8 bits overflow on processors without VNNI
            weight_type=QuantType.QInt8,
            nodes_to_quantize=products,
        )

    expected, costs, errors = run(float32), find_products(float32), {}
    for product in tqdm(costs, desc="int8", unit="product"):
        quantise([product])
        errors[product] = float(np.square(run(int8) - expected).mean())
    harmless, error = [], 0.0
    for product in sorted(costs, key=lambda product: errors[product] / costs[product]):
        if error + errors[product] <= INT8_ERROR**2:
            error += errors[product]
            harmless.append(product)
    quantise(harmless)
    model = onnx.load(int8)
    for each in model.graph.input:
        each.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, int8)


def find_products(file: Path) -> dict[str, int]:
    """Name the products with a matrix of weights, and count the multiplications of each in a second of sound.

    Those with few weights gain nothing in int8 and are left out.
    """
    model = onnx.load(file)
    weights = {
        each.name.removesuffix(STORED): each.dims
        for each in model.graph.initializer
        if np.prod(each.dims) >= LEAST_WEIGHTS
    }
    products = [node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    model.graph.output.extend(onnx.ValueInfoProto(name=node.output[0]) for node in products)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    second = np.zeros((1, SAMPLE_RATE), np.float32)
    results = session.run([node.output[0] for node in products], name_inputs(session, second))
    return {
        node.name: result.size * weights[node.input[1]][0]
        for node, result in zip(products, results, strict=True)
    }


def check_parity(file: str, logits: np.ndarray, expected: np.ndarray, truth: np.ndarray) -> dict:
    """Compare an export's logits with the checkpoint's, both of shape [clips, classes].

    Returns:
        `agreement`, the share of clips that get the same label; `uar` and `checkpoint_uar`; and
        `probability_change`, the largest of any class in any clip.

    Raises:
        ExportError: they differ too much.
    """
    metric = EmotionMetric(keep_in_memory=True)
    labels, expected_labels = logits.argmax(axis=1), expected.argmax(axis=1)
    uar, checkpoint_uar = (
        metric.compute(predictions=each, references=truth)["uar"] for each in (labels, expected_labels)
    )
    figures = {
        "agreement": float((labels == expected_labels).mean()),
        "uar": uar,
        "checkpoint_uar": checkpoint_uar,
        "probability_change": float(np.abs(softmax(logits, axis=1) - softmax(expected, axis=1)).max()),
    }
    if figures["agreement"] < MIN_AGREEMENT or abs(uar - checkpoint_uar) > MAX_UAR_CHANGE:
        raise ExportError(f"{file} does not answer like the checkpoint, so nothing is kept: {figures}.")
    return {name: round(value, 4) for name, value in figures.items()}


def sign(file: Path, checkpoint: str, extractor: FeatureExtractionMixin) -> None:
    """Write into an export what it was made of, and what it answers, for whoever loads it to check."""
    model = onnx.load(file)
    [answer] = run_onnx(onnxruntime.InferenceSession(file), extractor, [probe()], ["logits"])
    onnx.helper.set_model_props(model, {"checkpoint": checkpoint, "probe": json.dumps(answer.tolist())})
    onnx.save(model, file)
