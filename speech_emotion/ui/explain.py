"""How the model hears a clip: its waveform and spectra, and which moments moved the decision."""

import gradio as gr
import numpy as np
from matplotlib.figure import Figure

from speech_emotion import AudioError, ModelError, load_audio
from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.inference.attribution import occlude
from speech_emotion.palette import INK, SHADES, emotion_colour
from speech_emotion.plotting import WAVE, draw_mel, draw_spectrum, draw_waveform, style
from speech_emotion.ui import render
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.registry import classifier

MOST_SECONDS = 20.0  # what a picture shows legibly, and what silencing stretch after stretch can take
INVITATION = "Record or upload a voice above, then look at what the model hears."
EXPLANATION = """
**Waveform**: how loud the voice is from moment to moment. **Mel spectrogram**: which pitches sound when; the
lowest bright line is the melody of the voice, the ones above it its colour. **Spectrum**: the same, summed
over the clip. The **bars** come from asking the model again with one moment silenced each time: a high bar is
a moment that the decision rests on; a bar below the line spoke against it.
"""


def lay_out(listen: Listen) -> None:
    """Add the screen, and answer its button."""
    gr.Markdown(EXPLANATION)
    button = gr.Button("Show how the model hears it", elem_id="hear")
    words = gr.HTML(render.hint(INVITATION))
    picture = gr.Plot(show_label=False, visible=False, elem_id="hearing")
    button.click(
        show,
        [listen.voice, listen.model],
        [words, picture],
        api_visibility="private",
        show_progress="minimal",
    )
    gr.on(
        [listen.voice.change, listen.model.change],
        lambda: (render.hint(INVITATION), gr.Plot(visible=False)),
        None,
        [words, picture],
        api_visibility="private",
        queue=False,
    )


def show(path: str | None, model: str) -> tuple:
    """Draw a clip of up to twenty seconds, or say why not."""
    from speech_emotion.ui.explain import plot_hearing

    hidden = gr.Plot(visible=False)
    if path is None:
        return render.refusal("There is no recording yet: record or upload one above."), hidden
    try:
        audio = load_audio(path, MOST_SECONDS)
        heard = classifier(model)
        prediction = heard.predict(path)
    except (AudioError, ModelError) as error:
        return render.refusal(str(error)), hidden
    return "", gr.Plot(
        plot_hearing(audio, *occlude(heard, audio, prediction), prediction.label), visible=True
    )


def plot_hearing(audio: np.ndarray, middles: np.ndarray, drops: np.ndarray, label: str) -> Figure:
    """Draw what a model hears of a clip: waveform, what moved its decision, mel spectrogram, spectrum.

    Args:
        audio: float32 samples of shape [n], 16 kHz.
        middles: of the stretches that were silenced one after another, in seconds, shape [stretches].
        drops: by how much the label's probability fell without each, shape [stretches].
        label: what the model hears.
    """
    figure = Figure(figsize=(12, 7), layout="constrained")
    views = figure.subplot_mosaic(
        [["wave", "spectrum"], ["moved", "spectrum"], ["mel", "spectrum"]],
        height_ratios=(1, 0.8, 1.8),
        width_ratios=(3, 1),
    )
    seconds = audio.size / SAMPLE_RATE
    draw_waveform(views["wave"], audio, WAVE)
    peak = 1.05 * max(float(np.abs(audio).max()), 1e-3)
    views["wave"].set(xlim=(0, seconds), ylim=(-peak, peak))

    step = middles[1] - middles[0] if middles.size > 1 else seconds
    colours = np.where(drops > 0, emotion_colour(label), SHADES[1])
    views["moved"].bar(middles, 100 * drops, width=0.9 * step, color=colours)
    reach = 1.1 * max(100 * float(np.abs(drops).max()), 5.0)
    views["moved"].axhline(0, color=INK, linewidth=0.8)
    views["moved"].set(
        xlim=(0, seconds),
        ylim=(-reach, reach),
        ylabel="percent",
        title=f"What speaks for “{label}”: its probability falls by so much when this moment is silenced",
    )
    style(views["moved"])
    draw_mel(views["mel"], audio)
    views["mel"].set(xlim=(0, seconds))
    draw_spectrum(views["spectrum"], audio, WAVE)
    return figure
