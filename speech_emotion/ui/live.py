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
from speech_emotion.ui.own_voice import Voice, chip, line, reference_for
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
        compared: with what a voice is compared: `own` voice, what was said `before`, `nothing`; "" where the
            model cannot.
    """

    stream: StreamingClassifier = field(default_factory=StreamingClassifier)
    ribbon: list[tuple[str, bool]] = field(default_factory=list)
    compared: str = ""


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
    toggle = gr.Button("compare or not", visible="hidden", elem_id="live-compare")
    session = gr.State(time_to_live=2 * LIVE_SECONDS)
    compares = gr.State(True)  # what is said with what was said before
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    sound.change(
        follow_text,
        [sound, listen.model, listen.language, session, listen.own_voice, compares],
        [answer, session],
        concurrency_limit=4,
        trigger_mode="multiple",
        **quiet,
    )
    toggle.click(lambda compared: not compared, compares, compares, queue=False, **quiet)
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


def follow_text(
    sound: str,
    model: str,
    language: str,
    session: Session | None,
    voice: Voice | None = None,
    compares: bool = True,
) -> tuple[str, Session | None]:
    """Answer to the latest piece of a microphone, a WAV file in base64; the rest as in `follow`."""
    if not sound:
        return show(session, language), session
    try:
        piece = base64.b64decode(sound.rpartition(",")[2], validate=True)  # the moment stands before it
    except (binascii.Error, ValueError):
        return gr.skip(), session
    return follow(piece, model, session, language, voice, compares)


def follow(
    piece: bytes | str | None,
    model: str,
    session: Session | None,
    language: str = "en",
    voice: Voice | None = None,
    compares: bool = True,
) -> tuple[str, Session | None]:
    """Answer to the latest piece of a microphone.

    Args:
        piece: a sound file's content or its path.
        model: a name in the registry.
        session: what is kept of this microphone.
        language: a key of `LANGUAGES`.
        voice: the visitor's own, if it is known; it is the reference, then.
        compares: whether, else, what was said before is the reference.
    """
    if piece is None:
        return show(None, language), None
    session = session or Session()
    try:
        heard = classifier(model)
        known = reference_for(voice, model)
        session.compared = _compared(known is not None, compares) if heard.reference_head else ""
        own = "self" if session.compared == "before" else known
        session.stream.push(heard, *decode_audio(piece), own)
    except (AudioError, ModelError) as error:
        return render.refusal(refuse(str(error), language)), session
    shares = session.stream.probabilities
    label = max(shares, key=shares.get) if shares else ""
    threshold = heard.threshold_with(session.stream.with_reference)
    step = (label, bool(shares) and is_sure(threshold, label, shares[label]))
    session.ribbon = [*session.ribbon, step][-RIBBON_STEPS:]
    return show(session, language, model, threshold), session


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
            text("live_listening" if session else "live_idle", language, model=model),
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
        f"<p class='note'>{escape(note)}</p>{_say_compared(session, language)}</div></div>"
    )


def _compared(known: bool, compares: bool) -> str:
    return "own" if known else "before" if compares else "nothing"


def _say_compared(session: Session | None, language: str) -> str:
    """Render what the voice is compared with, and how to change it."""
    if session is None or not session.compared:
        return ""
    if session.compared == "own":
        return chip(language)
    if session.compared == "nothing":
        return line("compared_nothing", "compare_on", "live-compare", language)
    key = "compared_before" if session.stream.own else "compared_soon"
    return line(key, "compare_off", "live-compare", language)
