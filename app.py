"""The Space: hear the emotion in a voice.

    python app.py                                      # the checkpoints in models/, at http://127.0.0.1:7860
    MODEL_ID=you/your-model,outputs/model python app.py  # published models and local folders beside them

A program asks the endpoint `/classify`:

    gradio_client.Client(url).predict(handle_file("clip.wav"), "wav2vec2", api_name="/classify")
"""

import os
from functools import cache
from pathlib import Path

import gradio as gr

from speech_emotion import EmotionClassifier, load_audio
from speech_emotion.audio import AudioError
from speech_emotion.models import ModelError
from speech_emotion.plots import plot_clip
from speech_emotion.render import CSS, EMPTY, render_prediction, render_refusal

SHIPPED = {name: str(Path(__file__).parent / "models" / name) for name in ("wav2vec2", "cnn")}
PUBLISHED = [name.strip() for name in os.environ.get("MODEL_ID", "").split(",") if name.strip()]
MODELS = {name: name for name in PUBLISHED} | SHIPPED  # the first is the one a visitor meets
DEFAULT = next(iter(MODELS))

INTRO = """
# What does this voice express?

Record a few seconds of speech or upload a recording. A model trained on acted English speech says which
emotion the voice **expresses**; what the speaker feels it cannot know. Your recording is deleted within
the hour and used for nothing else.
"""


@cache
def classifier(model: str) -> EmotionClassifier:
    """Load a model once."""
    return EmotionClassifier.from_pretrained(MODELS[model])


def show(path: str | None, model: str):
    """Answer on the page: result or refusal, and the pictures of the clip where there is one."""
    if path is None:
        return EMPTY, gr.Plot(visible=False)
    try:
        audio = load_audio(path)
    except AudioError as error:
        return render_refusal(str(error)), gr.Plot(visible=False)
    picture = gr.Plot(plot_clip(audio), visible=True)
    try:
        heard = classifier(model)
        prediction = heard.predict(audio)
    except (AudioError, ModelError) as error:
        return render_refusal(str(error)), picture
    return render_prediction(prediction, f"{prediction.seconds:.1f} s of sound. {heard.calibration}"), picture


def classify(path: str | None, model: str = DEFAULT) -> dict:
    """Classify one recording.

    Args:
        path: the recording.
        model: one of the models on offer.

    Returns:
        `label`, `probabilities` by label, and `seconds` of sound judged.
    """
    if path is None:
        raise gr.Error("Send a recording.")
    try:
        prediction = classifier(model).predict(path)
    except (AudioError, ModelError) as error:
        raise gr.Error(str(error), print_exception=False) from error
    return vars(prediction)


def build() -> gr.Blocks:
    """Lay out the page and wire its events."""
    with gr.Blocks(title="Speech emotion", analytics_enabled=False, delete_cache=(600, 2400)) as page:
        gr.Markdown(INTRO)
        with gr.Row(equal_height=False):
            with gr.Column():
                audio = gr.Audio(
                    sources=["microphone", "upload"],
                    type="filepath",
                    label="Voice",
                    buttons=["download"],
                    elem_id="voice",
                )
                model = gr.Dropdown(
                    list(MODELS), value=DEFAULT, label="Model", info="Who listens", elem_id="model"
                )
            with gr.Column():
                answer = gr.HTML(EMPTY, elem_id="answer")
        picture = gr.Plot(show_label=False, visible=False, elem_id="picture")
        gr.on(
            [audio.change, model.change],
            show,
            [audio, model],
            [answer, picture],
            api_visibility="private",
            show_progress="minimal",
        )
        # What programs call needs no place on the page: its button and its answer stay hidden.
        gr.Button(visible=False).click(classify, [audio, model], gr.JSON(visible=False), api_name="classify")
    return page


def main() -> None:
    """Serve the page; the first visitor should not wait for the model."""
    try:
        classifier(DEFAULT)
    except ModelError as error:
        print(error)
    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    build().launch(theme=theme, css=CSS, max_file_size="100mb", ssr_mode=False)


if __name__ == "__main__":
    main()
