"""The endpoints as tools of the Model Context Protocol, for assistants.

Gradio can make tools of endpoints by itself. An assistant is then told to send a path or an address, which is
not opened here, and gets an answer as the text of a Python object.
"""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

import gradio as gr
from anyio import CapacityLimiter, to_thread
from mcp.server.fastmcp import FastMCP
from mcp.server.fastmcp.server import StreamableHTTPASGIApp
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import CallToolResult, TextContent
from pydantic import Field
from starlette.routing import Route

from speech_emotion.ui import endpoints
from speech_emotion.ui.middleware import ELSEWHERE, MOST_SENT, TOOLS, is_upload
from speech_emotion.ui.registry import MODELS

AT_ONCE = 4  # calls that are answered at the same time
MEGABYTES = MOST_SENT * 3 // 4 // 1_000_000  # of a recording; base64 makes it a third larger

RECORDING = f"""The recording itself, never an address: the content of an audio or video file (WAV, MP3,
M4A, OGG, FLAC, MP4 and others) in base64, with or without `data:audio/wav;base64,` before it. A file of up to
{MEGABYTES} MB can be sent so. Send a larger one, of up to 100 MB, to this host first, as does
`curl -F files=@call.mp3 HOST/gradio_api/upload`, and name here the path that it answers."""
MODEL = f"One of {', '.join(MODELS)}; by default the first that is loaded."
CAUTION = (
    "It classifies the sound of a voice, not what a person feels. It is often wrong on voices unlike actors'."
)
CLASSIFY = f"""Tell which emotion the voice in a recording of up to an hour expresses, in one answer.

{CAUTION} Answers `label`; `probabilities` of every label; `sure`, whether the label can be relied on (say
"not sure" where it is false); `seconds` of speech heard; and `utterances`, the answer for each."""
TIMELINE = f"""Tell how the emotion that voices express changes over a recording of up to an hour.

{CAUTION} Answers `seconds`; `shares` of the speech by emotion; `segments`, the utterances with `start` and
`end` in seconds and what `classify` answers; and `events`, changes that stand out, each with a `text`."""

REFERENCE = """A second recording, sent in the same way: how the person in the first one normally sounds, best
in a plain sentence. The model then compares the voice with itself. A model that cannot do that says so."""
OWN_VOICE = """Without a reference, for a recording of one person: whether each utterance is compared with the
others."""

Recording, Model = Annotated[str, Field(description=RECORDING)], Annotated[str, Field(description=MODEL)]
Plain, OwnVoice = Annotated[str, Field(description=REFERENCE)], Annotated[bool, Field(description=OWN_VOICE)]


def mount() -> dict:
    """Return the routes and the lifespan that an app needs to offer the tools under `TOOLS`."""
    server = FastMCP(
        "speech-emotion",
        stateless_http=True,
        json_response=True,
        max_request_body_size=MOST_SENT,
        # Whoever reaches the app may call it, as the endpoints; it has no secrets that a page could ask for.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        log_level="WARNING",
    )
    limiter = CapacityLimiter(AT_ONCE)

    @server.tool(description=CLASSIFY)
    async def classify(recording: Recording, model: Model = "", reference: Plain = "") -> CallToolResult:
        return await to_thread.run_sync(
            answer, endpoints.classify, recording, model, reference, limiter=limiter
        )

    @server.tool(description=TIMELINE)
    async def timeline(
        recording: Recording, model: Model = "", reference: Plain = "", own_voice: OwnVoice = False
    ) -> CallToolResult:
        return await to_thread.run_sync(
            answer, endpoints.timeline, recording, model, reference, own_voice, limiter=limiter
        )

    server.streamable_http_app()  # which makes the session manager
    handler = StreamableHTTPASGIApp(server.session_manager)

    @asynccontextmanager
    async def lifespan(_) -> AsyncIterator[None]:
        async with server.session_manager.run():
            yield

    # No GET: it would hold a connection open for messages of the server's own, of which there are none.
    routes = [Route(path, handler, methods=["POST", "DELETE"]) for path in (TOOLS, f"{TOOLS}/")]
    return {"routes": routes, "lifespan": lifespan}


def answer(
    endpoint: Callable[..., dict], recording: str, model: str, reference: str, *further: bool
) -> CallToolResult:
    """Call an endpoint; a recording without an answer gets the sentence that says why, as a tool's error."""
    try:
        if model and model not in MODELS:
            raise gr.Error(f"There is no model {model!r} here, but {', '.join(MODELS)}.")
        plain = read_recording(reference) if reference else None
        found = endpoint(read_recording(recording), model, plain, *further)
    except gr.Error as error:
        return CallToolResult(content=[TextContent(type="text", text=error.message)], isError=True)
    return CallToolResult(content=[TextContent(type="text", text=json.dumps(found))], structuredContent=found)


def read_recording(recording: str) -> str | bytes:
    """Return the path of an upload, or the content of a file in base64.

    Raises:
        gr.Error: it is neither.
    """
    if is_upload(recording):
        return recording
    try:
        return base64.b64decode("".join(recording.rpartition("base64,")[2].split()), validate=True)
    except ValueError as error:
        raise gr.Error(f"{ELSEWHERE} Send the file's content in base64.") from error
