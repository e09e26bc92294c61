"""The Space: hear the emotion in a voice.

    python app.py                                      # the checkpoints in models/, at http://127.0.0.1:7860
    MODEL_ID=you/your-model,outputs/model python app.py  # published models and local folders beside them

A program asks the endpoints that the last screen lists:

    gradio_client.Client(url).predict(handle_file("clip.wav"), "wav2vec2", api_name="/classify")
"""

import os
import queue
import signal
import sys
from pathlib import Path

from speech_emotion.ui import uploads

uploads.claim()  # before Gradio is imported, which then reads where temporary files go

import gradio as gr  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from speech_emotion.audio.decoding import MAX_BYTES, limit_ffmpeg_memory  # noqa: E402
from speech_emotion.ui import (  # noqa: E402
    about,
    advice,
    api_docs,
    compare,
    endpoints,
    examples,
    explain,
    live,
    many_files,
    render,
)
from speech_emotion.ui.listen import Listen  # noqa: E402
from speech_emotion.ui.middleware import Gate, Page  # noqa: E402
from speech_emotion.ui.registry import load_all, missing  # noqa: E402

KEPT = (uploads.EVERY_SECONDS, uploads.OLD_SECONDS)  # files are looked at so often, and go when so old
STYLE = Path(__file__).parent / "speech_emotion" / "ui" / "style.css"
VISITORS = 4  # served at once on each screen, so that one long recording keeps nobody waiting
WAITING = 200  # requests that can wait for that; who comes then is asked to try again
SESSIONS = VISITORS + WAITING  # remembered, a quarter of a megabyte each; the longest idle is forgotten
FINISH_SECONDS = 25  # for what is under way when the app is told to stop; the hub gives it 30
INTRO = f"""
# What does this voice express?

Record a few seconds of speech or upload a recording, up to an hour and {MAX_BYTES // 2**20} MB. A model
trained on acted English speech says which emotion the voice **expresses**; what the speaker feels it cannot
know. Your recording lies in a temporary file, is deleted within the hour, and is used for nothing else.
"""


def build() -> gr.Blocks:
    """Lay out the page and wire its events."""
    with Page(title="Speech emotion", analytics_enabled=False, delete_cache=KEPT) as page:
        gr.Markdown(INTRO)
        notice = gr.HTML(elem_id="notice")
        with gr.Tab("Listen"):
            listen = Listen()
            examples.lay_out(listen)
            listen.wire()
            with gr.Tab("In conversation"):
                advice.lay_out(listen)
            with gr.Tab("Compare"):
                compare.lay_out(listen)
            with gr.Tab("How it hears"):
                explain.lay_out(listen)
        with gr.Tab("Live"):
            live.lay_out(listen)
        with gr.Tab("Many files"):
            many_files.lay_out(listen)
        with gr.Tab("About this model") as tab:
            about.lay_out(listen, tab)
        with gr.Tab("For programs"):
            api_docs.lay_out(page)
        endpoints.publish()
        page.load(
            lambda: (render.notice(missing()), listen.offer()),
            None,
            [notice, listen.model],
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
    return page.queue(default_concurrency_limit=VISITORS, max_size=WAITING, api_open=False)


def serve(**options) -> gr.Blocks:
    """Serve the page in the background; the first visitor should not wait for the model."""
    limit_ffmpeg_memory()
    load_all()
    for sentence in missing():
        print(sentence)
    page = build()
    uploads.keep_swept()
    page.launch(
        theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css_paths=STYLE,
        max_file_size=MAX_BYTES,
        state_session_capacity=SESSIONS,
        allowed_paths=[],
        enable_monitoring=False,
        run_history=False,
        ssr_mode=False,
        app_kwargs={"middleware": [Middleware(Gate)]},
        prevent_thread_lock=True,
        **options,
    )
    return page


def stop(page: gr.Blocks) -> None:
    """Let nobody in any more, give what is under way its time to end, and end."""
    page.server.should_exit = True
    page.app.stop_event.set()  # visitors who only look on are let go
    page.server.thread.join(FINISH_SECONDS)
    uploads.release()
    sys.stdout.flush()
    os._exit(
        0
    )  # a thread that still judges, though nobody waits for it, would crash the interpreter's own end


if __name__ == "__main__":
    told = queue.SimpleQueue()  # an Event's lock would wait for itself where one signal interrupts another
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: told.put(None))
    served = serve()
    told.get()
    stop(served)
