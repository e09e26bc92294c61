"""What recordings go through between a voice and a model: noise, other voices, a telephone, a codec.

Each function takes and gives float32 samples of shape [n], 16 kHz. Training adds white noise and narrows
bands, too (`augmentation.py`), so those are familiar to a model; babble, mu-law and MP3 are not.
"""

import io

import av
import numpy as np
import soxr

from speech_emotion.audio.decoding import SAMPLE_RATE, load_audio

BABBLE_VOICES = 6  # clips at once, enough that no single one is understood
TELEPHONE_RATE = 8_000  # Hz
TELEPHONE_BAND = (300, 3400)  # Hz
MU = 255  # of the mu-law of ITU-T G.711
MP3_BIT_RATE = 32_000  # bits per second, mono


def white_noise(audio: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise that is equally strong at all frequencies.

    Args:
        audio: the clip.
        snr_db: power of the whole clip over that of the noise, in dB.
        rng: draws the noise.
    """
    return _mix(audio, rng.standard_normal(audio.size), snr_db)


def babble(
    audio: np.ndarray, snr_db: float, voices: list[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Add other people's talk: their clips, each repeated from a random moment on, all equally strong.

    Args:
        audio: the clip.
        snr_db: power of the whole clip over that of all voices together, in dB.
        voices: clips of other speakers.
        rng: draws the moments at which they start.
    """
    noise = np.zeros(audio.size)
    for voice in voices:
        shifted = np.roll(voice, rng.integers(voice.size))
        noise += np.resize(shifted, audio.size) / np.sqrt(np.mean(np.square(voice)) + 1e-12)
    return _mix(audio, noise, snr_db)


def telephone(audio: np.ndarray) -> np.ndarray:
    """Send a clip through a telephone: nothing outside 300-3400 Hz, 8 kHz, 8 bits by mu-law."""
    narrow = soxr.resample(audio, SAMPLE_RATE, TELEPHONE_RATE, quality="HQ")
    spectrum = np.fft.rfft(narrow)
    frequency = np.fft.rfftfreq(narrow.size, 1 / TELEPHONE_RATE)
    spectrum[(frequency < TELEPHONE_BAND[0]) | (frequency > TELEPHONE_BAND[1])] = 0
    narrow = np.clip(np.fft.irfft(spectrum, narrow.size), -1, 1)
    code = np.round(127 * np.sign(narrow) * np.log1p(MU * np.abs(narrow)) / np.log1p(MU)) / 127
    decoded = np.sign(code) * np.expm1(np.abs(code) * np.log1p(MU)) / MU
    return soxr.resample(decoded.astype(np.float32), TELEPHONE_RATE, SAMPLE_RATE, quality="HQ")


def mp3(audio: np.ndarray) -> np.ndarray:
    """Encode a clip as MP3 and decode it; the codec may pad a few hundredths of a second."""
    return load_audio(encode_mp3(audio))


def encode_mp3(audio: np.ndarray) -> bytes:
    """Encode a clip as MP3 at 32 kbit/s, mono, by LAME."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono", bit_rate=MP3_BIT_RATE)
        frame = av.AudioFrame.from_ndarray(audio[None], format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return buffer.getvalue()


def _mix(audio: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise scaled to a signal-to-noise ratio; peaks may pass 1, as models scale their input."""
    ratio = np.sum(np.square(audio, dtype=float)) / max(np.sum(np.square(noise)), 1e-12)
    return (audio + noise * np.sqrt(ratio / 10 ** (snr_db / 10))).astype(np.float32)
