"""How the model hears a clip: its waveform and spectra, and which moments moved the decision."""

import gradio as gr

from screens import render
from screens.listen import Listen
from screens.models import classifier
from speech_emotion import AudioError, ModelError, load_audio
from speech_emotion.audio import check_speech
from speech_emotion.occlusion import occlude

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
    from speech_emotion.plots import plot_hearing  # slow to import: the page opens without it

    hidden = gr.Plot(visible=False)
    if path is None:
        return render.refusal("There is no recording yet: record or upload one above."), hidden
    try:
        audio = check_speech(load_audio(path, MOST_SECONDS))
        heard = classifier(model)
        prediction = heard.predict(audio)
    except (AudioError, ModelError) as error:
        return render.refusal(str(error)), hidden
    return "", gr.Plot(plot_hearing(audio, *occlude(heard, audio), prediction.label), visible=True)
