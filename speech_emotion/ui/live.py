"""The microphone, live: emotion and face follow the voice twice a second. No sound is written to disk."""

import base64
import binascii
import itertools
from dataclasses import dataclass, field
from html import escape

import gradio as gr

from speech_emotion import AudioError, ModelError
from speech_emotion.audio.decoding import decode_audio
from speech_emotion.inference.streaming import StreamingClassifier
from speech_emotion.models.folder import Threshold, is_sure
from speech_emotion.ui import render
from speech_emotion.ui.avatar import draw_face
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.page import LIVE_SECONDS, emotion_class
from speech_emotion.ui.registry import classifier
from speech_emotion.ui.wording import emotion_name, refuse, span, text

UNSURE_WIDTH = 0.15  # this much below the threshold the face is wholly that of not being sure
RIBBON_STEPS = 60  # half seconds that the ribbon shows
MOST_SOUND = 1_500_000  # characters of one piece: some eight seconds at 48 kHz
_count = itertools.count()


@dataclass
class Session:
    """What is kept of one visitor's microphone, in memory alone.

    Attributes:
        stream: the rolling window.
        ribbon: each step's emotion and whether the model was sure; "" in a pause.
    """

    stream: StreamingClassifier = field(default_factory=StreamingClassifier)
    ribbon: list[tuple[str, bool]] = field(default_factory=list)


def lay_out(listen: Listen) -> None:
    """Add the screen; the browser sends each half second of sound as text."""
    gr.HTML(
        f"<div class='stack'>{span('live_lead', 'p', 'class=lead')}"
        "<div class='cluster'><button type='button' class='btn main' id='live-button' data-action='live' "
        "data-t='start'>Start</button>"
        f"{span('live_words', 'p', 'id=live-words class=hint')}</div></div>",
        apply_default_css=False,
    )
    answer = gr.HTML(show(None, "en"), elem_id="live", apply_default_css=False)
    sound = gr.Textbox(
        "", label="piece of sound", visible="hidden", elem_id="live-sound", max_length=MOST_SOUND
    )
    forget = gr.Button("forget", visible="hidden", elem_id="live-forget")
    session = gr.State(time_to_live=2 * LIVE_SECONDS)
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    sound.change(
        follow_text,
        [sound, listen.model, listen.language, session],
        [answer, session],
        concurrency_limit=4,
        trigger_mode="multiple",
        **quiet,
    )
    forget.click(
        lambda language: (show(None, language), None),
        listen.language,
        [answer, session],
        queue=False,
        **quiet,
    )
    listen.language.change(
        lambda language: show(None, language), listen.language, answer, queue=False, **quiet
    )


def follow_text(sound: str, model: str, language: str, session: Session | None) -> tuple[str, Session | None]:
    """Answer to the latest piece of a microphone, a WAV file in base64."""
    if not sound:
        return show(session, language), session
    try:
        piece = base64.b64decode(sound, validate=True)
    except (binascii.Error, ValueError):
        return gr.skip(), session
    return follow(piece, model, session, language)


def follow(
    piece: bytes | str | None, model: str, session: Session | None, language: str = "en"
) -> tuple[str, Session | None]:
    """Answer to the latest piece of a microphone: a sound file's content or its path."""
    if piece is None:
        return show(None, language), None
    session = session or Session()
    try:
        heard = classifier(model)
        session.stream.push(heard, *decode_audio(piece))
    except (AudioError, ModelError) as error:
        return render.refusal(refuse(str(error), language)), session
    shares = session.stream.probabilities
    label = max(shares, key=shares.get) if shares else ""
    session.ribbon = [
        *session.ribbon,
        (label, bool(shares) and is_sure(heard.threshold, label, shares[label])),
    ][-RIBBON_STEPS:]
    return show(session, language, model, heard.threshold), session


def show(session: Session | None, language: str, model: str = "", threshold: Threshold = 0.0) -> str:
    """Render the present emotion with a large face, and the last half minute as a ribbon."""
    shares = session.stream.probabilities if session else None
    label = max(shares, key=shares.get) if shares else ""
    if label:
        sure = is_sure(threshold, label, shares[label])
        least = threshold[label] if isinstance(threshold, dict) else threshold
        doubt = 0.0 if sure else min(1.0, (least - shares[label]) / UNSURE_WIDTH)
        name = emotion_name(label, language)
        title = render.bold("sounds", name, language) if sure else text("not_sure", language)
        how = (
            text("share", language, share=f"{100 * shares[label]:.0f}")
            if sure
            else text("perhaps", language, emotion=name)
        )
        face = draw_face(shares, 260, doubt, text("face_of", language, emotion=name))
        note = text("live_note", language, milliseconds=f"{session.stream.milliseconds[-1]:.0f}", model=model)
    else:
        title = text("live_silence" if session else "live_ready", language)
        how, face, note = (
            "\N{NO-BREAK SPACE}",
            draw_face({}, 260, 0.0, text("face_waiting", language)),
            text("live_idle", language),
        )
    steps = session.ribbon if session else []
    ribbon = "".join(
        f"<i class='{emotion_class(each) if each else ''}{'' if sure_then else ' pale'}'></i>"
        for each, sure_then in [("", True)] * (RIBBON_STEPS - len(steps)) + steps
    )
    top = sorted(shares.items(), key=lambda pair: -pair[1])[: render.TOP_ROWS] if shares else []
    return (
        f"<div class='card' id='live-card' data-live='{next(_count)}'><div class='live-face'>{face}</div>"
        f"<div><div class='live-verdict {emotion_class(label) if label else ''}'><h2 class='label' "
        f"data-label='{escape(label)}'>{title}</h2><p class='how'>{escape(how)}</p></div>"
        f"<ul class='rows live-rows' style='min-height:102px'>{render.bars(dict(top), language)}</ul>"
        f"<div class='ribbon' role='img' aria-label='{text('ribbon', language)}'>{ribbon}</div>"
        f"<p class='note'>{escape(note)}</p></div></div>"
    )
