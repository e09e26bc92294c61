"""Registration of this project's architectures with transformers."""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    Wav2Vec2FeatureExtractor,
)

from speech_emotion.models.cnn import SpectrogramCNN
from speech_emotion.models.cnn_mfcc import MfccCNN


def register() -> None:
    """Register the CNNs with transformers' Auto classes, so that `pipeline()` opens their folders.

    Call it once in a process before `from_pretrained` or `pipeline()`; more calls do no harm. The loaders of
    this package call it themselves. Models of other architectures do not need it.

    >>> import speech_emotion
    >>> from transformers import pipeline
    >>> speech_emotion.register()
    >>> classifier = pipeline("audio-classification", model="models/cnn")  # doctest: +SKIP
    """
    for network in (SpectrogramCNN, MfccCNN):
        config = network.config_class
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModelForAudioClassification.register(config, network, exist_ok=True)
        AutoFeatureExtractor.register(config, Wav2Vec2FeatureExtractor, exist_ok=True)
