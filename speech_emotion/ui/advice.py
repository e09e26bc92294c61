"""For conversations: what the tone of a voice may express, in plain words, and what one could say next."""

import gradio as gr

from speech_emotion import Prediction
from speech_emotion.ui import render
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.registry import classifier
from speech_emotion.ui.wording import LANGUAGES, describe

INVITATION = (
    "Record or upload one or two sentences, up to ten seconds; what their tone may express appears here."
)


def lay_out(listen: Listen) -> None:
    """Add the screen; it answers whenever the recording, the model or the language changes."""
    language = gr.Radio(
        [(name, code) for code, name in LANGUAGES.items()],
        value="en",
        label="Language of the words",
        elem_id="language",
    )
    words = gr.HTML(render.hint(INVITATION), elem_id="advice")
    gr.on(
        [listen.prediction.change, language.change],
        advise,
        [listen.prediction, listen.model, language],
        words,
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="always_last",
    )


def advise(prediction: dict | None, model: str, language: str) -> str:
    """Lay out the words for one utterance's prediction, or say what is needed for them."""
    if prediction is None:
        return render.hint(INVITATION)
    advice = describe(Prediction(**prediction), classifier(model).report, language)
    return render.advice_card(advice, language)
