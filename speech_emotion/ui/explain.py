"""How a model hears a recording: waveform, deciding moments and mel spectrogram on one time axis."""

import base64
import io
from html import escape

import gradio as gr
import numpy as np
from PIL import Image
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from speech_emotion import AudioError, ModelError
from speech_emotion.audio.decoding import SAMPLE_RATE, header_duration, stream_audio
from speech_emotion.inference.attribution import occlude
from speech_emotion.ui import render
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.own_voice import Voice, choose_reference, tell_on_panel
from speech_emotion.ui.page import emotion_class
from speech_emotion.ui.registry import classifier
from speech_emotion.ui.wording import emotion_name, refuse, text

SHOWN_SECONDS = 20.0  # of a longer recording its beginning is shown
BANDS, WINDOW, HOP = 80, 400, 160  # of the mel spectrogram, samples at 16 kHz
RANGE_DB = 70.0  # between its lightest and darkest
DEEP, MIDDLE, BRIGHT = (21, 20, 40), (124, 58, 160), (255, 214, 120)  # its colours from quiet to loud
OUTLINE_POINTS = 600


def lay_out(listen: Listen) -> None:
    """Add the screen, and answer its button."""
    gr.HTML(render.opening("explain_lead", "explain_button", "explain-run"), apply_default_css=False)
    run = gr.Button("explain", visible="hidden", elem_id="explain-run")
    picture = gr.HTML("", elem_id="explanation", apply_default_css=False)
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    showing = run.click(
        lambda language: render.working(language), listen.language, picture, queue=False, **quiet
    ).then(
        show,
        [listen.voice, listen.model, listen.language, listen.own_voice, listen.compares],
        picture,
        **quiet,
    )
    gr.on(
        [*listen.changes(), listen.model.change], lambda: "", None, picture,
        cancels=showing, queue=False, **quiet,
    )  # fmt: skip


def show(
    path: str | None, model: str, language: str = "en", voice: Voice | None = None, compares: bool = False
) -> str:
    """Render how a model hears a recording's first `SHOWN_SECONDS`, or why it cannot be shown.

    Args:
        path: of the recording.
        model: a name in the registry.
        language: a key of `LANGUAGES`.
        voice: the visitor's own, if it is known; the model compares with it where the first screen does.
        compares: whether the first screen compares a longer recording's utterances with each other.
    """
    if path is None:
        return render.refusal(text("no_recording", language))
    try:
        blocks = stream_audio(path, SHOWN_SECONDS)
        audio = next(blocks)
        longer = next(blocks, None) is not None
        heard = classifier(model)
        used = choose_reference(path, header_duration(path), model, voice, compares)
        reference = None if used == "self" else used
        prediction = heard.predict(audio, reference=reference)
        middles, drops = occlude(heard, audio, prediction, reference)
    except (AudioError, ModelError) as error:
        return render.refusal(refuse(str(error), language))
    said = tell_on_panel(used, model, language)
    return draw(audio, middles, drops, prediction.label, language, longer, said)


def draw(
    audio: np.ndarray,
    middles: np.ndarray,
    drops: np.ndarray,
    label: str,
    language: str,
    longer: bool = False,
    compared: str = "",
) -> str:
    """Render waveform, deciding moments and mel spectrogram above one time axis.

    Args:
        audio: float32 samples of shape [n], 16 kHz.
        middles: of the stretches that were silenced one after another, in seconds, shape [stretches].
        drops: by how much the label's probability fell without each, shape [stretches].
        label: the model's answer.
        language: a key of `LANGUAGES`.
        longer: whether the recording goes on after this.
        compared: HTML on what the recording was compared with.
    """
    seconds, name = audio.size / SAMPLE_RATE, emotion_name(label, language)
    step = float(middles[1] - middles[0]) if middles.size > 1 else seconds
    reach = max(float(np.abs(drops).max()), 0.05)
    moments = "".join(
        _moment(float(at), float(drop), step, seconds, reach, name, language)
        for at, drop in zip(middles, drops, strict=True)
    )
    best = float(middles[int(drops.argmax())])
    said = text("explain_best", language, emotion=name, time=f"{best:.1f}")
    more = (
        f"<p class='note'>{escape(text('explain_longer', language, seconds=f'{SHOWN_SECONDS:.0f}'))}</p>"
        if longer
        else ""
    )
    return (
        f"<div class='card call hears {emotion_class(label)}' data-seconds='{seconds:.2f}' data-emotion='' "
        f"data-say='{escape(said, quote=True)}'>"
        f"<p><strong>{escape(said)}</strong></p>{more}{compared}"
        f"<div class='scroll' tabindex='0' role='group' aria-label='{escape(text('timeline', language))}'>"
        "<div class='whole'>"
        f"<h3>{escape(text('waveform', language))}</h3><div class='chart zoomable part' style='height:84px'>"
        f"{_outline(audio)}</div>"
        f"<h3>{escape(text('deciding', language, emotion=name))}</h3><div class='part moved segments' "
        f"role='group' aria-label='{escape(text('deciding', language, emotion=name))}'>"
        f"<div class='zero'></div>{moments}</div>"
        f"<h3>{escape(text('mel', language))}</h3><div class='part'><img class='mel' "
        f"alt='{escape(text('mel_alt', language), quote=True)}' src='{mel_picture(audio)}'></div>"
        "<div class='playhead' aria-hidden='true' hidden></div>"
        "<div class='axis' aria-hidden='true'></div></div></div>"
        f"<p class='hint'>{escape(text('explain_how', language))}</p></div>"
    )


def _moment(
    at: float, drop: float, step: float, seconds: float, reach: float, name: str, language: str
) -> str:
    start = max(0.0, at - step / 2)
    height = 50 * min(1.0, abs(drop) / reach)
    key = "speaks_for" if drop > 0 else "speaks_against"
    words = escape(
        text(key, language, emotion=name, time=f"{at:.1f}", points=f"{100 * abs(drop):.0f}"), quote=True
    )
    place = f"bottom:50%;height:{height:.1f}%" if drop > 0 else f"top:50%;height:{height:.1f}%"
    return (
        f"<button type='button' class='segment{'' if drop > 0 else ' against'}' data-action='play' "
        f"data-start='{max(0.0, at - 0.2):.2f}' "
        f"data-end='{at + 0.2:.2f}' data-words='{words}' title='{words}' aria-label='{words}' tabindex='-1' "
        f"style='left:{start / seconds:.3%};width:{step / seconds:.3%}'><i style='{place}'></i></button>"
    )


def _outline(audio: np.ndarray) -> str:
    step = -(-audio.size // OUTLINE_POINTS)
    peaks = np.pad(np.abs(audio), (0, -audio.size % step)).reshape(-1, step).max(axis=1)
    peaks = peaks / max(float(peaks.max()), 1e-3)
    bars = "".join(f"M{x} {50 - 46 * peak:.1f}V{50 + 46 * peak + 0.5:.1f}" for x, peak in enumerate(peaks))
    return (
        f"<svg viewBox='0 0 {peaks.size} 100' preserveAspectRatio='none' aria-hidden='true'>"
        f"<path d='{bars}' stroke='currentColor' opacity='.7' vector-effect='non-scaling-stroke'/></svg>"
    )


def mel_picture(audio: np.ndarray) -> str:
    """Return the mel spectrogram of shape-[n] samples at 16 kHz as a PNG in a data address."""
    filters = mel_filter_bank(WINDOW // 2 + 1, BANDS, 20.0, SAMPLE_RATE / 2, SAMPLE_RATE)
    power = spectrogram(
        audio, window_function(WINDOW, "hann"), WINDOW, HOP, power=2.0, mel_filters=filters, log_mel="dB"
    )
    share = np.clip((power - power.max()) / RANGE_DB + 1, 0, 1)[::-1, :, None]
    low, high = np.array(MIDDLE) - DEEP, np.array(BRIGHT) - MIDDLE
    colours = np.array(DEEP) + np.clip(2 * share, 0, 1) * low + np.clip(2 * share - 1, 0, 1) * high
    out = io.BytesIO()
    Image.fromarray(colours.astype(np.uint8)).save(out, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
