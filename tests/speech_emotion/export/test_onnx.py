import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT, peak_memory, reset_peak_memory, speak, voice, write_wav
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from torch import nn
from transformers import (
    HubertConfig,
    HubertForSequenceClassification,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
)

from speech_emotion import EmotionClassifier
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.dataset import open_dataset
from speech_emotion.export.onnx import (
    LeanConv,
    as_steps,
    check_parity,
    find_products,
    main,
    make_product,
    name_default,
    shrink_weights,
    streamline,
    write_float32,
)
from speech_emotion.inference import backends
from speech_emotion.inference.backends import (
    ExportError,
    OnnxBackend,
    TorchBackend,
    WaveformExtractor,
    choose_backend,
    probe,
    run_onnx,
)
from speech_emotion.models.folder import EXPORTS
from speech_emotion.models.loading import load_classifier, new_classifier

INT8, FLOAT32 = EXPORTS.values()
SIZES = {
    "hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 256,
    "conv_dim": (16, 24, 16), "conv_kernel": (80, 1, 8), "conv_stride": (40, 1, 8), "num_labels": 3,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(encoder_folder, small_dataset, tmp_path_factory):
    """A classifier in miniature with its exports."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    labels = open_dataset(str(small_dataset))["train"].features["emotion"].names
    model, extractor, _ = new_classifier(encoder_folder, labels, {"classifier_proj_size": 512})
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    main([str(folder), "--data", str(small_dataset)])
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_an_export_answers_like_its_checkpoint_and_says_who_answered(folder):
    exported = EmotionClassifier.from_pretrained(folder)
    checkpoint = EmotionClassifier(*load_classifier(folder))
    clips = [voice(seconds=0.5), voice(200, seconds=5), voice(300, seconds=12.3)]
    np.testing.assert_allclose(exported.logits(clips), checkpoint.logits(clips), atol=0.05)
    assert exported.engine.name == "ONNX Runtime int8"
    assert checkpoint.engine.name == "PyTorch"
    assert exported.logits([]).shape == (0, 8)
    report = json.loads((folder / "export.json").read_text())
    assert report["clips"] == 6
    assert set(report["parity"]) == {INT8, FLOAT32}
    assert report["parity"][FLOAT32]["agreement"] == 1.0
    assert (
        str(ROOT).encode() not in (folder / FLOAT32).read_bytes()
    )  # nor any other path of the exporter's machine
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["onnx"]
    assert {path.name for path in (folder / "onnx").iterdir()} == {"model.onnx", "model_quantized.onnx"}


def test_what_a_model_pools_is_an_output_of_its_export(small_dataset, tmp_path):
    config = Wav2Vec2Config(**SIZES, do_stable_layer_norm=True, feat_extract_norm="layer", pooling_layer=True)
    torch.manual_seed(0)
    model = Wav2Vec2ForSequenceClassification(config).eval()
    write_float32(model, tmp_path / "model.onnx", masked=True)
    extractor = WaveformExtractor(do_normalize=True)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    logits, pooled = run_onnx(session, extractor, CLIPS, ["logits", "pooled"])
    expected = TorchBackend(model, Wav2Vec2FeatureExtractor(return_attention_mask=True)).run_pooled(CLIPS)
    np.testing.assert_allclose(logits, expected[0], atol=1e-4)
    np.testing.assert_allclose(pooled, expected[1], atol=1e-4)
    assert pooled.shape == (len(CLIPS), SIZES["hidden_size"])


def test_a_matrix_of_256_steps_is_stored_in_8_bits_and_any_other_in_half_precision(tmp_path):
    rng = np.random.default_rng(0)
    steps = ((rng.integers(0, 256, (128, 128)) - 100) * 0.0123).astype(np.float32)
    halved = steps.astype(np.float16).astype(np.float32)  # as a checkpoint in half precision has them
    for values in (steps, halved, np.zeros((128, 128), np.float32), np.eye(128, dtype=np.float32) * -7):
        numbers, zero, step = as_steps(values)
        assert numbers.dtype == np.uint8
        np.testing.assert_allclose((numbers - float(zero)) * step, values, rtol=2e-3)
    other = rng.normal(size=(128, 128)).astype(np.float32)
    assert as_steps(other) is None
    assert as_steps(np.array([[0.0, 0.1, 0.25]], np.float32)) is None  # few levels, but no steps

    make = onnx.helper
    nodes = [make.make_node("MatMul", ["x", "a"], ["y"]), make.make_node("MatMul", ["y", "b"], ["z"])]
    values = [onnx.numpy_helper.from_array(steps, "a"), onnx.numpy_helper.from_array(other, "b")]
    ends = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 128]) for name in "xz"]
    graph = make.make_graph(nodes, "two products", ends[:1], ends[1:], values)
    onnx.save(
        make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10), tmp_path / "m"
    )
    x = rng.normal(size=(1, 128)).astype(np.float32)
    [before] = onnxruntime.InferenceSession(tmp_path / "m").run(None, {"x": x})
    size = (tmp_path / "m").stat().st_size
    shrink_weights(tmp_path / "m")
    [after] = onnxruntime.InferenceSession(tmp_path / "m").run(None, {"x": x})
    np.testing.assert_allclose(after, before, rtol=1e-2, atol=0.1)  # of values up to 30
    assert (tmp_path / "m").stat().st_size < 0.4 * size


def test_an_export_answers_without_torch_and_transformers(folder, tmp_path):
    clip = write_wav(tmp_path / "clip.wav", speak())
    code = (
        "import sys\nfrom speech_emotion import EmotionClassifier\n"
        f"print(EmotionClassifier.from_pretrained({str(folder)!r}).predict({str(clip)!r}).engine)\n"
        "print(sorted({'torch', 'transformers', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["ONNX Runtime int8", "[]"]


def test_waveforms_are_scaled_as_transformers_scales_them(folder):
    clip = 3 * speak() + 0.1
    _, extractor = load_classifier(folder)
    for do_normalize in (True, False):
        extractor.do_normalize = do_normalize
        expected = extractor(clip, sampling_rate=SAMPLE_RATE, return_tensors="np")["input_values"]
        np.testing.assert_array_equal(WaveformExtractor(do_normalize)(clip)["input_values"], expected)


def test_a_clip_is_answered_alike_whatever_comes_with_it(folder):
    classifier = EmotionClassifier.from_pretrained(folder)
    clips = [speak(seconds=1), 3 * speak(220, seconds=4), speak(90, seconds=2.5)]
    np.testing.assert_array_equal(
        classifier.logits(clips), np.concatenate([classifier.logits([clip]) for clip in clips])
    )


CLIPS = [speak(seconds=1), 3 * speak(220, seconds=4), speak(90, seconds=2.5)]


def test_a_padded_batch_gets_the_logits_of_single_clips(folder):
    _, extractor = load_classifier(folder)
    batch = extractor(CLIPS, sampling_rate=SAMPLE_RATE, padding=True, return_tensors="np")
    assert batch["attention_mask"].sum(1).tolist() == [clip.size for clip in CLIPS]
    session = onnxruntime.InferenceSession(folder / FLOAT32)
    inputs = {
        "input_values": batch["input_values"],
        "attention_mask": batch["attention_mask"].astype(np.int64),
    }
    [logits] = session.run(["logits"], inputs)
    [exported] = run_onnx(session, extractor, CLIPS, ["logits"])
    np.testing.assert_allclose(logits, exported, atol=1e-4)
    [unmasked] = session.run(["logits"], inputs | {"attention_mask": np.ones_like(inputs["attention_mask"])})
    assert np.abs(unmasked - logits)[[0, 2]].max() > 1e-3  # so the mask is what holds them


def test_an_export_without_a_mask_or_in_int8_refuses_a_batch(folder, small_dataset, tmp_path):
    """Its answers would depend on padding, or on the scale that int8 shares."""
    maskless = shutil.copytree(folder, tmp_path / "maskless")
    settings = json.loads((maskless / "preprocessor_config.json").read_text())
    settings["return_attention_mask"] = False
    (maskless / "preprocessor_config.json").write_text(json.dumps(settings))
    main([str(maskless), "--data", str(small_dataset)])
    padded = np.zeros((2, 2 * SAMPLE_RATE), np.float32)
    inputs = {"input_values": padded, "attention_mask": np.ones(padded.shape, np.int64)}
    for file in (folder / INT8, maskless / FLOAT32, maskless / INT8):
        session = onnxruntime.InferenceSession(file)
        taken = {each.name: inputs[each.name] for each in session.get_inputs()}
        assert len(taken) == (1 if file.is_relative_to(maskless) else 2)
        with pytest.raises(InvalidArgument, match="Got: 2 Expected: 1"):
            session.run(["logits"], taken)


# Reads clips, has optimum's class classify them one by one and in a padded batch, and prints both as JSON.
THROUGH_OPTIMUM = """
import json, sys
import numpy as np
from optimum.onnxruntime import ORTModelForAudioClassification
from transformers import AutoFeatureExtractor, pipeline

folder, clips = sys.argv[1], np.load(sys.argv[2])
clips = [clips[name] for name in clips]
model = ORTModelForAudioClassification.from_pretrained(folder, subfolder="onnx", file_name="model.onnx")
extractor = AutoFeatureExtractor.from_pretrained(folder)
classify = pipeline("audio-classification", model=model, feature_extractor=extractor)
answers = [[{each["label"]: each["score"] for each in answer} for answer in classify(clips, batch_size=size, top_k=99)]
           for size in (1, len(clips))]
print(json.dumps(answers))
"""
# optimum's class needs an older transformers than ours, so these stand in a folder of their own.
OPTIMUM = "optimum==2.1.0 optimum-onnx==0.1.0 transformers==4.57.6 huggingface_hub==0.36.2 tokenizers==0.22.2"


@pytest.fixture(scope="module")
def optimum(tmp_path_factory):
    """A folder with optimum's ONNX classes."""
    packages = tmp_path_factory.mktemp("optimum")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages)]
    done = subprocess.run([*install, *OPTIMUM.split()], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"optimum cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return packages


@pytest.mark.slow
@pytest.mark.parametrize("shipped", [False, True], ids=["miniature", "shipped"])
def test_optimum_answers_a_padded_batch_like_single_clips_and_like_this_package(
    shipped, optimum, folder, tmp_path
):
    model = ROOT / "models" / "wav2vec2" if shipped else folder
    clips = tmp_path / "clips.npz"
    np.savez(clips, *CLIPS)
    done = subprocess.run(
        [sys.executable, "-c", THROUGH_OPTIMUM, model, clips], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(optimum), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    single, batch = json.loads(done.stdout.splitlines()[-1])
    classifier = EmotionClassifier(*load_classifier(model))
    for alone, padded, logits in zip(single, batch, classifier.logits(CLIPS), strict=True):
        assert alone == pytest.approx(padded, abs=1e-4)
        shares = np.exp(logits) / np.exp(logits).sum()
        assert alone == pytest.approx(dict(zip(classifier.labels, shares.tolist(), strict=True)), abs=0.03)


def test_int8_is_in_the_one_and_not_in_the_other(folder):
    kinds = {file: {node.op_type for node in onnx.load(folder / file).graph.node} for file in (FLOAT32, INT8)}
    assert "MatMulInteger" not in kinds[FLOAT32]
    assert "MatMulInteger" in kinds[INT8]
    assert find_products(folder / FLOAT32)


def test_without_int8_the_other_export_serves_and_without_any_the_checkpoint(copy, caplog):
    (copy / INT8).unlink()
    assert choose_backend(*load_classifier(copy)).name == "ONNX Runtime"
    (copy / FLOAT32).unlink()
    assert choose_backend(*load_classifier(copy)).name == "PyTorch"
    assert not caplog.records


def test_the_settings_name_the_export_that_browsers_open(copy):
    def named() -> dict | None:
        return json.loads((copy / "config.json").read_text()).get("transformers.js_config")

    assert named() is None  # they ask for int8, which is there
    (copy / INT8).unlink()
    name_default(copy)
    assert named() == {"dtype": "fp32"}
    assert EmotionClassifier.from_pretrained(copy).engine.name == "ONNX Runtime"


def test_an_export_of_another_checkpoint_is_passed_over(copy, caplog):
    model, extractor = load_classifier(copy)
    with torch.no_grad():
        model.classifier.bias += 1
    model.save_pretrained(copy)
    assert choose_backend(model, extractor).name == "PyTorch"
    assert "was made of another checkpoint: export it again." in caplog.text


def test_a_damaged_export_is_passed_over(copy, caplog):
    for file in (FLOAT32, INT8):
        (copy / file).write_bytes((copy / file).read_bytes()[:5000])
    assert choose_backend(*load_classifier(copy)).name == "PyTorch"
    assert caplog.text.count("cannot be run") == 2


def test_a_processor_that_computes_otherwise_is_found_out(copy):
    model = onnx.load(copy / INT8)
    [facts] = [each for each in model.metadata_props if each.key == "probe"]
    facts.value = json.dumps((np.array(json.loads(facts.value)) + 0.2).tolist())
    onnx.save(model, copy / INT8)
    with pytest.raises(ExportError, match=r"other numbers on this processor, off by 0\.20"):
        load_export(copy)


def load_export(folder):
    model, extractor = load_classifier(folder)
    return OnnxBackend(folder / INT8, "int8", extractor, folder, model.config.num_labels)


@pytest.mark.parametrize("fault", ["fewer classes", "one length alone", "no numbers"])
def test_an_export_that_does_not_fit_its_checkpoint_is_refused(fault, copy):
    model = onnx.load(copy / INT8)
    make = onnx.helper.make_node
    for node in model.graph.node:
        node.output[:] = [{"logits": "honest"}.get(output, output) for output in node.output]
    if fault == "fewer classes":
        numbers = [onnx.helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1])]
        added = [make("ReduceMax", ["honest", "one"], ["logits"], keepdims=1)]
    elif fault == "one length alone":
        numbers = [onnx.helper.make_tensor("length", onnx.TensorProto.INT64, [2], [1, 16_000])]
        added = [
            make("Reshape", ["input_values", "length"], ["second"]),
            make("ReduceMax", ["second"], ["loudest"], keepdims=0),
            make("Sub", ["loudest", "loudest"], ["zero"]),
            make("Add", ["honest", "zero"], ["logits"]),
        ]
    else:
        numbers = []
        added = [make("Sub", ["honest", "honest"], ["zeros"]), make("Log", ["zeros"], ["logits"])]
    model.graph.initializer.extend(numbers)
    model.graph.node.extend(added)
    onnx.save(model, copy / INT8)
    with pytest.raises(ExportError, match=r"cannot be run|does not give a number for each"):
        load_export(copy)


def loop_for_ever(file: Path, longest: int) -> None:
    """Make an export run without end for sound of more samples than the longest."""
    helper, kinds = onnx.helper, onnx.TensorProto
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Sin", ["number"], ["another"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", kinds.INT64, []),
            helper.make_tensor_value_info("go", kinds.BOOL, []),
            helper.make_tensor_value_info("number", kinds.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_on", kinds.BOOL, []),
            helper.make_tensor_value_info("another", kinds.FLOAT, []),
        ],
    )
    model = onnx.load(file)
    for node in model.graph.node:
        node.output[:] = [{"logits": "honest"}.get(output, output) for output in node.output]
    model.graph.initializer.extend(
        [
            helper.make_tensor("rounds", kinds.INT64, [], [10**15]),
            helper.make_tensor("longest", kinds.INT64, [], [longest]),
            helper.make_tensor("zero", kinds.FLOAT, [], [0.0]),
        ]
    )
    model.graph.node.extend(
        [
            helper.make_node("Size", ["input_values"], ["samples"]),
            helper.make_node("Greater", ["samples", "longest"], ["start"]),
            helper.make_node("Loop", ["rounds", "start", "zero"], ["same"], body=body),
            helper.make_node("Add", ["honest", "same"], ["logits"]),
        ]
    )
    onnx.save(model, file)


def test_an_export_that_never_ends_is_ended(copy, monkeypatch):
    monkeypatch.setattr(backends, "RUN_SECONDS", 1)
    loop_for_ever(copy / INT8, longest=0)
    with pytest.raises(ExportError, match="cannot be run"):
        load_export(copy)


def test_an_export_that_fails_only_once_it_serves_is_given_up_for_the_checkpoint(copy, monkeypatch, caplog):
    monkeypatch.setattr(backends, "RUN_SECONDS", 1)
    loop_for_ever(copy / INT8, longest=2 * SAMPLE_RATE)  # what it is tried on has so many
    classifier, expected = EmotionClassifier.from_pretrained(copy), EmotionClassifier(*load_classifier(copy))
    assert classifier.engine.name == "ONNX Runtime int8"
    clip = probe()[:SAMPLE_RATE]
    classifier.logits([clip])
    assert classifier.engine.name == "ONNX Runtime int8"
    given, right = [each.logits([np.tile(clip, 3)]) for each in (classifier, expected)]
    assert classifier.engine.name == "PyTorch"
    np.testing.assert_array_equal(given, right)
    assert "ONNX Runtime int8 failed: " in caplog.text


def test_an_export_may_not_be_larger_than_its_checkpoint_allows(copy):
    with (copy / INT8).open("ab") as file:
        file.truncate(2 * (copy / "model.safetensors").stat().st_size + 1_000_001)
    with pytest.raises(ExportError, match="larger than any export of its checkpoint"):
        load_export(copy)


def test_an_export_that_asks_for_more_memory_than_there_is_to_have_gets_none(copy):
    """A gigabyte of numbers out of a graph of a few bytes, at home in ours: everything else is true."""
    model = onnx.load(copy / INT8)
    make = onnx.helper.make_node
    size = onnx.helper.make_tensor("size", onnx.TensorProto.INT64, [1], [10**9])
    for node in model.graph.node:
        node.output[:] = [{"logits": "modest"}.get(output, output) for output in node.output]
    model.graph.node.extend(
        [
            make("Constant", [], ["size"], value=size),
            make("ConstantOfShape", ["size"], ["huge"]),
            make("ReduceMax", ["huge"], ["zero"], keepdims=0),
            make("Add", ["modest", "zero"], ["logits"]),
        ]
    )
    onnx.save(model, copy / INT8)
    before = reset_peak_memory()
    with pytest.raises(ExportError, match="Available memory"):
        load_export(copy)
    assert peak_memory() - before < 500_000  # kilobytes


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize(
    ("family", "config"),
    [
        (Wav2Vec2ForSequenceClassification, Wav2Vec2Config),
        (HubertForSequenceClassification, HubertConfig),
    ],
)
def test_a_streamlined_network_computes_the_same(family, config, norm):
    torch.manual_seed(0)
    stable = norm == "layer"
    model = family(config(**SIZES, feat_extract_norm=norm, do_stable_layer_norm=stable)).eval()
    waves = torch.randn(2, 12_345)
    with torch.no_grad():
        expected = model(waves).logits
        streamline(model)
        torch.testing.assert_close(model(waves).logits, expected, atol=1e-4, rtol=1e-4)


def test_a_convolution_loses_only_channels_and_taps_that_are_zero():
    conv = nn.Conv1d(16, 16, 9, padding=4, groups=4)
    with torch.no_grad():
        conv.weight[:, 1:3] = 0
        conv.weight[:, :, 6:] = 0
        lean, hidden = LeanConv(conv), torch.randn(2, 16, 40)
        assert lean.weight.shape == (16, 2, 6)
        torch.testing.assert_close(lean(hidden), conv(hidden))


def test_exports_that_answer_otherwise_are_refused():
    truth = np.arange(200) % 4
    expected = np.eye(4)[truth] * 5
    other = expected.copy()
    other[:3] = np.roll(expected[:3], 1, axis=1)
    assert check_parity("model.onnx", expected, expected, truth)["agreement"] == 1.0
    with pytest.raises(ExportError, match=r"model\.onnx does not answer like the checkpoint"):
        check_parity("model.onnx", other, expected, truth)


def test_what_cannot_be_exported_is_said_in_a_sentence(tmp_path, small_dataset):
    with pytest.raises(SystemExit, match="cannot be loaded"):
        main([str(tmp_path), "--data", str(small_dataset)])
    with pytest.raises(SystemExit, match="There is no dataset"):
        main([str(tmp_path), "--data", str(tmp_path / "gone")])


def test_the_shipped_export_is_of_the_shipped_checkpoint_and_answers_like_it():
    folder = ROOT / "models" / "wav2vec2"
    classifier = EmotionClassifier.from_pretrained(folder)
    assert classifier.engine.name == "ONNX Runtime"
    clips = [speak(100 + 40 * number, seconds=2 + number / 2, seed=number) for number in range(4)]
    logits, expected = classifier.logits(clips), TorchBackend(*load_classifier(folder)).run(clips)
    assert np.abs(logits - expected).mean() < 0.1
    parity = json.loads((folder / "export.json").read_text())["parity"][FLOAT32]
    assert parity["agreement"] >= 0.99
    assert parity["uar"] == pytest.approx(parity["checkpoint_uar"], abs=0.005)


def test_outputs_that_are_multiples_of_one_another_share_a_product():
    conv, frames = nn.Conv1d(30, 40, 2), torch.randn(3, 7, 60)
    with torch.no_grad():
        conv.weight[5:] = conv.weight[:5].repeat(7, 1, 1) * torch.arange(-10, 25)[:, None, None]
        product = make_product(conv)
        assert [layer.weight.shape for layer in product] == [(5, 60), (40, 5)]
        weight = conv.weight.transpose(1, 2).flatten(1)
        torch.testing.assert_close(product(frames), frames @ weight.T + conv.bias, atol=1e-4, rtol=1e-4)
        assert isinstance(make_product(nn.Conv1d(30, 40, 2)), nn.Linear)
