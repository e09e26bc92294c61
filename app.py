"""The Space: hear the emotion in a voice.

    python app.py                                      # the checkpoints in models/, at http://127.0.0.1:7860
    MODEL_ID=you/your-model,outputs/model python app.py  # published models and local folders beside them

A program asks the endpoints that the last screen lists:

    gradio_client.Client(url).predict(handle_file("clip.wav"), "wav2vec2", api_name="/classify")
"""

import signal
from pathlib import Path

import gradio as gr

from screens import about, api, compare, conversation, examples, files, hearing, live, programs, uploads
from screens.listen import Listen
from screens.models import DEFAULT, classifier
from speech_emotion.audio import MAX_BYTES
from speech_emotion.models import ModelError

STYLE = Path(__file__).parent / "screens" / "style.css"
CLEANING = (uploads.EVERY_SECONDS, uploads.KEPT_SECONDS)
VISITORS = 4  # served at once, so that one long recording keeps nobody waiting
INTRO = f"""
# What does this voice express?

Record a few seconds of speech or upload a recording, up to an hour and {MAX_BYTES // 2**20} MB. A model
trained on acted English speech says which emotion the voice **expresses**; what the speaker feels it cannot
know. Your recording is processed in memory, deleted within the hour, and used for nothing else.
"""


def build() -> gr.Blocks:
    """Lay out the page and wire its events."""
    with gr.Blocks(title="Speech emotion", analytics_enabled=False, delete_cache=CLEANING) as page:
        gr.Markdown(INTRO)
        with gr.Tab("Listen"):
            listen = Listen()
            examples.lay_out(listen)
            listen.wire()
            with gr.Tab("In conversation"):
                conversation.lay_out(listen)
            with gr.Tab("Compare"):
                compare.lay_out(listen)
            with gr.Tab("How it hears"):
                hearing.lay_out(listen)
        with gr.Tab("Live"):
            live.lay_out(listen)
        with gr.Tab("Many files"):
            files.lay_out(listen)
        with gr.Tab("About this model") as tab:
            about.lay_out(listen, tab)
        with gr.Tab("For programs"):
            programs.lay_out(page, DEFAULT)
        api.publish()
    return page.queue(default_concurrency_limit=VISITORS)


def serve(**options) -> tuple:
    """Serve the page, as `gr.Blocks.launch` does; the first visitor should not wait for the model."""
    uploads.watch()
    try:
        classifier(DEFAULT)
    except ModelError as error:
        print(error)
    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return build().launch(theme=theme, css_paths=STYLE, max_file_size=MAX_BYTES, ssr_mode=False, **options)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that temporary files go when it is stopped
    serve()
