import numpy as np
import pytest
import torch
from conftest import voice
from transformers import pipeline

from speech_emotion.models.loading import extract, load_classifier, new_classifier

NETWORKS = {
    **{kind: ("cnn", {"input_features": kind, "freq_mask": 8}) for kind in ("log_mel", "mfcc", "stack")},
    "cnn-mfcc": ("cnn-mfcc", {}),
}


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=NETWORKS)
def cnn(request):
    torch.manual_seed(0)
    name, changes = request.param
    model, extractor, _ = new_classifier(name, ["happy", "sad", "calm"], changes)
    return model.eval(), extractor


def test_the_cnn_has_at_most_a_million_parameters(cnn):
    assert cnn[0].num_parameters() < 1_000_000


@torch.inference_mode()
def test_a_batch_gives_the_logits_of_single_clips(cnn):
    model, extractor = cnn
    clips = [voice(120, 1.7), voice(200, 0.9), voice(300, 3.1)]
    single = torch.cat([model(**extract(extractor, [clip])).logits for clip in clips])
    torch.testing.assert_close(model(**extract(extractor, clips)).logits, single, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_loudness_does_not_matter(cnn):
    model, extractor = cnn
    loud, quiet = (model(**extract(extractor, [voice(level=level)])).logits for level in (0.8, 0.05))
    torch.testing.assert_close(loud, quiet, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("kind", "rows"), [("log_mel", 64), ("mfcc", 40), ("stack", 1 + 1 + 12 + 40)])
@torch.inference_mode()
def test_the_spectrogram_has_frames_of_10_ms(kind, rows):
    model, extractor, _ = new_classifier("cnn", ["happy", "sad"], {"input_features": kind})
    found, mask = model.rows(**extract(extractor, [voice(seconds=1.0), voice(seconds=0.5)]))
    assert found.shape == (2, rows, 101)
    assert mask.sum(2).flatten().tolist() == [101, 51]
    assert found.isfinite().all()
    assert (found[1, :, 51:] == 0).all()


def test_unknown_input_features_are_an_error():
    with pytest.raises(ValueError, match="input_features is 'lpc'; it can be log_mel, mfcc, stack"):
        new_classifier("cnn", ["happy", "sad"], {"input_features": "lpc"})


def test_only_training_is_random(cnn):
    model, extractor = cnn
    inputs = extract(extractor, [voice()])
    assert torch.equal(model(**inputs).logits, model(**inputs).logits)
    model.train()
    assert not torch.equal(model(**inputs).logits, model(**inputs).logits)
    model.eval()


def test_pipeline_opens_the_folder_as_it_was_saved(cnn, tmp_path):
    model, extractor = cnn
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    loaded, _ = load_classifier(tmp_path)
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
    answer = pipeline("audio-classification", model=str(tmp_path))(voice(), top_k=None)
    assert sum(entry["score"] for entry in answer) == pytest.approx(1.0)
    with torch.inference_mode():
        expected = model(**extract(extractor, [voice()])).logits.softmax(1)[0]
    scores = [
        next(entry["score"] for entry in answer if entry["label"] == label)
        for label in ("happy", "sad", "calm")
    ]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
