"""The Gradio Space: build the page of speech_emotion.ui and serve it.

    python app.py                                      # the checkpoints in models/, at http://127.0.0.1:7860
    MODEL_ID=you/your-model,outputs/model python app.py  # published models and local folders as well

A program calls the endpoints that the last screen lists:

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
from starlette.routing import Mount  # noqa: E402
from starlette.staticfiles import StaticFiles  # noqa: E402

from speech_emotion.audio.decoding import MAX_BYTES, limit_ffmpeg_memory  # noqa: E402
from speech_emotion.ui import (  # noqa: E402
    about,
    api_docs,
    compare,
    ending,
    endpoints,
    explain,
    live,
    many_files,
    memory,
    practice,
    render,
    social,
    tools,
)
from speech_emotion.ui.listen import Listen  # noqa: E402
from speech_emotion.ui.middleware import GuardMiddleware, Page  # noqa: E402
from speech_emotion.ui.page import head, header, subtabs  # noqa: E402
from speech_emotion.ui.registry import load_all, missing  # noqa: E402
from speech_emotion.ui.theme import Theme  # noqa: E402
from speech_emotion.ui.wording import TEXTS  # noqa: E402

KEPT = (uploads.EVERY_SECONDS, uploads.OLD_SECONDS)  # how often files are checked, and how old they may get
ROOT = Path(__file__).parent
STYLE = ROOT / "speech_emotion" / "ui" / "style.css"
# The page that runs the model in the visitor's browser finds it where it lies in the repository, too.
STATIC = [
    Mount("/web", StaticFiles(directory=ROOT / "web", html=True)),
    Mount("/models", StaticFiles(directory=ROOT / "models")),
]
VISITORS = 4  # served at once on each screen, so that one long recording keeps nobody waiting
WAITING = 200  # requests that can wait for that; a visitor beyond them is told to try again
SESSIONS = VISITORS + WAITING  # remembered, a quarter of a megabyte each; the longest idle is forgotten
# For requests under way when the app is told to stop, then for a sentence to those that would take longer.
# The hub gives it 30.
FINISH_SECONDS, FAREWELL_SECONDS = 20, 5


def build() -> gr.Blocks:
    """Build the page and connect its events."""
    with Page(title=TEXTS["en"]["title"], analytics_enabled=False, delete_cache=KEPT) as page:
        endpoints.publish()  # first: Gradio numbers the second function of a name
        listen = Listen()
        gr.HTML(header(), elem_id="header", apply_default_css=False)
        notice = gr.HTML(elem_id="notice", apply_default_css=False)
        with screen("listen"):
            listen.lay_out()
            gr.HTML(subtabs(), elem_id="listen-more", apply_default_css=False)
            with gr.Column(elem_id="listen-panels"):
                with gr.Column(elem_id="panel-compare"):
                    compare.lay_out(listen)
                with gr.Column(elem_id="panel-explain"):
                    explain.lay_out(listen)
            listen.wire()
        with screen("live"):
            live.lay_out(listen)
        with screen("files"):
            many_files.lay_out(listen)
        with screen("practice"):
            practice.lay_out(listen)
        with screen("about"):
            about.lay_out(listen)
        with screen("programs"):
            api_docs.lay_out(page)
        page.load(
            lambda: (render.notice(missing()), listen.offer()),
            None,
            [notice, listen.recorder],
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
    return page.queue(default_concurrency_limit=VISITORS, max_size=WAITING, api_open=False)


def screen(name: str) -> gr.Column:
    """Return the column of a screen; the browser shows the one whose tab is open."""
    return gr.Column(elem_id=f"screen-{name}", elem_classes=["screen"])


def serve(**options) -> gr.Blocks:
    """Load the models, then serve the page in the background."""
    limit_ffmpeg_memory()
    memory.return_freed_memory()
    load_all()
    for sentence in filter(None, [*missing(), uploads.warn_of_room()]):
        print(sentence)
    social.install()
    page = build()
    assistants = tools.mount()
    uploads.keep_swept()
    page.launch(
        theme=Theme(),
        css_paths=STYLE,
        head=head(),
        favicon_path=social.ICON,
        footer_links=[],
        max_file_size=MAX_BYTES,
        state_session_capacity=SESSIONS,
        allowed_paths=[],
        enable_monitoring=False,
        run_history=False,
        ssr_mode=False,
        mcp_server=False,  # `tools` has them
        app_kwargs={
            "middleware": [Middleware(GuardMiddleware)],
            "routes": [*STATIC, *assistants["routes"]],
            "lifespan": assistants["lifespan"],
        },
        prevent_thread_lock=True,
        **options,
    )
    return page


def stop(page: gr.Blocks) -> None:
    """Accept no new visitors, wait for requests under way, then end the process."""
    page.server.should_exit = True
    page.app.stop_event.set()  # ends the connections of visitors who are not waiting for an answer
    page.server.thread.join(FINISH_SECONDS)
    ending.give_up()
    page.server.thread.join(FAREWELL_SECONDS)
    uploads.release()
    sys.stdout.flush()
    os._exit(0)  # a thread that still runs a model would crash the interpreter's own end


if __name__ == "__main__":
    told = queue.SimpleQueue()  # an Event would wait for itself where one signal interrupts another
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: told.put(None))
    served = serve()
    told.get()
    stop(served)
