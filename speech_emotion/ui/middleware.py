"""Access control: which of Gradio's paths are open, how large a request may be, and the response headers.

Gradio serves more than this page needs, and opens addresses that visitors name: `file=http://...` as a path,
or a recording whose `path` is one. Nothing of that is needed here, so none of it gets through; and of the
files on this machine only those that were uploaded can be named.
"""

import errno
import functools
import json
import os
import traceback
from contextlib import suppress
from pathlib import Path

import gradio as gr
from gradio.route_utils import GradioMultiPartParser
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from speech_emotion.ui import uploads
from speech_emotion.ui.uploads import MOST_UPLOADED, UPLOADS

# The first part of the paths that are open, under the root and under /gradio_api.
PAGE = {
    "", "assets", "config", "favicon.ico", "manifest.json", "models", "robots.txt", "static", "theme.css",
    "web",
}  # fmt: skip
API = {
    "api", "app_id", "call", "cancel", "heartbeat", "info", "login_check", "mcp", "openapi.json",
    "queue", "reset", "run", "startup-events", "stream", "theme.css", "upload", "upload_progress",
}  # fmt: skip
UPLOAD, TOOLS = "/gradio_api/upload", "/gradio_api/mcp"
MOST_CALLED = 2_000_000  # bytes of a call
MOST_SENT = 40_000_000  # bytes of a tool's call, which has the recording in it
PARTS, MOST_PARTS = (b"[", b"{", b","), 30_000  # of a call's JSON: reading it blocks all other requests
MOST_FIELD = 10_000  # bytes of an upload's text; Gradio keeps that in memory, and its page sends none

CDN = "https://cdn.jsdelivr.net"  # of the library with which web/ runs a model in the browser
FRAMES = "'self' https://huggingface.co https://*.hf.space"  # the hub shows a Space in a frame
HEADERS = {
    # Gradio has scripts and styles inline, makes functions of text and a microphone's workers of blobs.
    "Content-Security-Policy": "default-src 'self' data: blob:; "
    "script-src 'self' blob: 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    f"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {FRAMES}",
    "Permissions-Policy": "camera=(), geolocation=(), payment=(), usb=()",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Content-Type-Options": "nosniff",
}
IN_BROWSER = {
    "Content-Security-Policy": f"default-src 'self' blob: {CDN}; "
    f"script-src 'self' blob: 'wasm-unsafe-eval' {CDN}; style-src 'self' 'unsafe-inline'; "
    f"object-src 'none'; base-uri 'self'; form-action 'none'; frame-ancestors {FRAMES}"
}

UNFIT = "This call does not have what its endpoint takes: the page's last screen has examples."
ELSEWHERE = "Send the recording itself: addresses and paths are not opened here."
UNANSWERED = "This could not be answered: the page's last screen has examples of calls."
TOO_MUCH = "This is more than can be sent at once."
NO_ROOM = "There is no room for recordings now: try again later."


class Page(gr.Blocks):
    """A page that answers a call whose inputs do not fit with a sentence.

    Gradio would answer nothing and print a traceback with all that was sent, names of recordings included.
    """

    async def preprocess_data(self, block_fn, inputs, *args, **kwargs):
        """Read the inputs of a call, as Gradio does; all after the first may be left out."""
        if inputs:
            inputs = [*inputs, *[None] * (len(block_fn.inputs) - len(inputs))]
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception as error:
            raise gr.Error(NO_ROOM if is_full(error) else UNFIT, print_exception=False) from error


@functools.cache
def limit_texts() -> None:
    """Make Gradio refuse long texts in an upload, which it would keep in memory; a patch, made once."""
    take = GradioMultiPartParser.on_part_data

    def take_little(form: GradioMultiPartParser, data: bytes, start: int, end: int) -> None:
        take(form, data, start, end)
        part = form._current_part
        if part.file is None and len(part.data) > MOST_FIELD:
            raise MultiPartException("An upload is of files.")

    GradioMultiPartParser.on_part_data = take_little


class GuardMiddleware:
    """An ASGI middleware in front of Gradio."""

    def __init__(self, app: ASGIApp):
        limit_texts()
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with a reason."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.start":
                in_browser = scope["path"].startswith("/web/")
                MutableHeaders(scope=message).update(HEADERS | (IN_BROWSER if in_browser else {}))
            await send(message)

        try:
            await self._pass(scope, receive, send_guarded)
        except Exception as error:
            # Gradio fails on a call of what is not there. What it raises may hold what was sent.
            place = traceback.extract_tb(error.__traceback__)[-1]
            print(f"{type(error).__name__} in {place.filename}, line {place.lineno}")
            if is_full(error):
                print(uploads.warn_of_room())
            if not started:
                refusal = (507, NO_ROOM) if is_full(error) else (500, UNANSWERED)
                await _refuse(*refusal)(scope, receive, send_guarded)
            else:
                with suppress(Exception):  # it is over already, or of a length that was stated
                    await send({"type": "http.response.body"})

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_open(scope["path"]):
            await _refuse(404, "There is nothing here.")(scope, receive, send)
            return
        upload = scope["path"].rstrip("/") == UPLOAD
        if upload and uploads.lacks_room(stated_size(scope)):
            print(f"An upload was refused. {uploads.warn_of_room()}")
            await _refuse(507, NO_ROOM)(scope, receive, send)
            return
        tool = scope["path"].rstrip("/") == TOOLS
        body = Body(receive, MOST_UPLOADED if upload else MOST_SENT if tool else MOST_CALLED)
        try:
            if scope["method"] == "POST" and not upload:
                content = await body.read()
                if sum(map(content.count, PARTS)) > MOST_PARTS:
                    await _refuse(413, TOO_MUCH)(scope, receive, send)
                    return
                if not tool and names_another_place(content):
                    await _refuse(400, ELSEWHERE)(scope, receive, send)
                    return
            await self.app(scope, body.receive, send)
        except ClientDisconnect:
            if body.left < 0:  # otherwise the sender has gone
                await _refuse(413, TOO_MUCH)(scope, receive, send)


class Body:
    """A request's body, of which no more than so many bytes are taken."""

    def __init__(self, receive: Receive, most: int):
        self._receive, self.left = receive, most
        self._read: list[Message] = []

    async def receive(self) -> Message:
        """Return the next message; once there is too much, as if the sender had gone."""
        return self._read.pop(0) if self._read else await self._next()

    async def read(self) -> bytes:
        """Read the body and keep its messages.

        Raises:
            ClientDisconnect: it is too much, or the sender has gone.
        """
        message = {"more_body": True}
        while message.get("more_body"):
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._read.append(message)
        return b"".join(message.get("body", b"") for message in self._read)

    async def _next(self) -> Message:
        message = await self._receive()
        self.left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.left < 0 else message


def stated_size(scope: Scope) -> int:
    """Return the size that a request states, in bytes; the most that an upload may have if it states none."""
    stated = Headers(scope=scope).get("content-length", "")
    return min(int(stated), MOST_UPLOADED) if stated.isdecimal() else MOST_UPLOADED


def is_full(error: Exception) -> bool:
    """Return whether an error says that the disk is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def is_open(path: str) -> bool:
    """Return whether a path leads to something that this page needs."""
    first, _, rest = path.lstrip("/").partition("/")
    if first != "gradio_api":
        return first in PAGE
    name, equals, value = rest.partition("=")
    if equals:
        return name == "file" and "://" not in value and not value.startswith("//")
    return rest.partition("/")[0] in API


def is_upload(path: str) -> bool:
    """Return whether a path leads to one of the uploads."""
    return Path(os.path.normpath(path)).is_relative_to(UPLOADS)


def names_another_place(body: bytes) -> bool:
    """Return whether a call's JSON names a file that is not one of the uploads."""
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):  # Gradio says what is wrong with it
        return False
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str):
                if not is_upload(path):
                    return True
            elif isinstance(value.get("url"), str):
                return True
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False


def _refuse(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status)
