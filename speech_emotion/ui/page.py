"""The page around the screens: its head, its header with the tabs, and what the browser has to know."""

import json
from html import escape
from pathlib import Path

from speech_emotion.audio.decoding import MAX_BYTES, MAX_RECORDING_SECONDS, SAMPLE_RATE
from speech_emotion.inference.batch import SUFFIXES
from speech_emotion.ui.avatar import POSES, draw_icons
from speech_emotion.ui.wording import LANGUAGES, TEXTS, span

SCRIPT = Path(__file__).parent / "static" / "page.js"
LIVE_SECONDS = 600  # then the live screen lets the microphone go
SCREENS = {  # by the name in the address: its panel, and the hidden button that fills it
    "listen": ("screen-listen", ""),
    "live": ("screen-live", ""),
    "files": ("screen-files", ""),
    "practice": ("screen-practice", ""),
    "about": ("screen-about", "about-open"),
    "programs": ("screen-programs", ""),
}
PLAY = (
    "<svg class='triangle' viewBox='0 0 24 24' aria-hidden='true'>"
    "<path d='M7 4l13 8-13 8z' fill='currentColor'/></svg>"
)
PAUSE = (
    "<svg class='bars' viewBox='0 0 24 24' aria-hidden='true'>"
    "<path d='M6 4h4v16H6zM14 4h4v16h-4z' fill='currentColor'/></svg>"
)
MICROPHONE = (
    "<svg class='when-idle' viewBox='0 0 24 24' fill='none' stroke='currentColor' stroke-width='2' "
    "aria-hidden='true'><rect x='9' y='3' width='6' height='11' rx='3'/>"
    "<path d='M5 11a7 7 0 0 0 14 0M12 18v3'/></svg>"
    "<svg class='when-recording' viewBox='0 0 24 24' aria-hidden='true'>"
    "<rect x='6' y='6' width='12' height='12' rx='2' fill='currentColor'/></svg>"
)
MOON = (
    "<svg viewBox='0 0 24 24' aria-hidden='true'><path d='M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5z' "
    "fill='currentColor'/></svg>"
)


def head() -> str:
    """Return what goes into the page's head: `page.js`, the limits and every language's words."""
    facts = {
        "phrases": {code: TEXTS[code] for code in LANGUAGES},
        "maxBytes": MAX_BYTES,
        "maxSeconds": MAX_RECORDING_SECONDS,
        "rate": SAMPLE_RATE,
        "liveSeconds": LIVE_SECONDS,
        "suffixes": sorted(suffix.removeprefix(".") for suffix in SUFFIXES),
    }
    written = json.dumps(facts).replace("</", "<\\/")  # so that no text can end the script
    return f"<script>window.SPEECH_EMOTION = {written};\n{SCRIPT.read_text('utf-8')}</script>"


def header() -> str:
    """Render the header: title, tabs, languages, light and dark, and the line that a screen reader speaks."""
    tabs = "".join(
        f"<button type='button' role='tab' id='tab-{name}' data-screen='{name}' data-opens='{opens}' "
        f"aria-controls='{panel}' aria-selected='{str(name == 'listen').lower()}' "
        f"tabindex='{0 if name == 'listen' else -1}'>{span(f'nav_{name}')}</button>"
        for name, (panel, opens) in SCREENS.items()
    )
    languages = "".join(
        f"<button type='button' class='tool' data-action='language' data-language='{code}' lang='{code}' "
        f"aria-pressed='{str(code == 'en').lower()}' aria-label='{escape(name)}'>{code.upper()}</button>"
        for code, name in LANGUAGES.items()
    )
    return (
        f"{draw_icons()}<header class='masthead'>{span('title', 'h1')}<div class='tools'>{languages}"
        f"<button type='button' class='tool' data-action='theme' {label('theme')}>{MOON}</button></div>"
        "</header>"
        f"<nav aria-label='{escape(TEXTS['en']['screens'])}' data-t-label='screens'>"
        f"<div class='tabs' role='tablist' id='screens' {label('screens')}>{tabs}</div></nav>"
        "<div id='said' class='visually-hidden' role='status' aria-live='polite'></div>"
    )


def subtabs() -> str:
    """Render the tabs below an answer."""
    tabs = "".join(
        f"<button type='button' role='tab' id='tab-{name}' aria-controls='panel-{name}' "
        f"aria-selected='{str(name == 'compare').lower()}' tabindex='{0 if name == 'compare' else -1}'>"
        f"{span(f'nav_{name}')}</button>"
        for name in ("compare", "explain")
    )
    return f"<div class='tabs under' role='tablist' id='more' {label('more_about')}>{tabs}</div>"


def label(key: str) -> str:
    """Return the attributes that name an element whose words are not seen."""
    return f"aria-label='{escape(TEXTS['en'][key], quote=True)}' data-t-label='{key}'"


def icon(emotion: str, little: bool = False) -> str:
    """Render an emotion's face as the icon next to its name."""
    name = emotion.replace(" ", "-") if emotion in POSES else "neutral"
    return (
        f"<svg class='icon{' little' if little else ''}' aria-hidden='true' focusable='false'>"
        f"<use href='#face-{name}'/></svg>"
    )


def emotion_class(emotion: str) -> str:
    """Return the CSS class that has an emotion's colour."""
    if emotion not in POSES:
        return "e-other"
    return "e-unsure" if " " in emotion else f"e-{emotion}"


def recorder(target: str, below: str = "", hint: str = "record_hint") -> str:
    """Render a round Record button that feeds a hidden file input, a line of words, and what goes below."""
    name = "recorder-card" if target == "voice" else f"{target}-recorder"
    word = span("record", attributes="class='dot-word' aria-hidden='true'")
    words = span(hint, "p", "class='hint recorder-words'")
    region = label("recorder" if target == "voice" else hint)  # two on one screen have names of their own
    return (
        f"<section class='card recorder' id='{name}' "
        f"data-for='{target}' data-hint='{hint}' data-state='idle' {region}>"
        f"<button type='button' class='dot' data-action='record' {label('record')}>{MICROPHONE}</button>"
        f"{word}<span class='timer' aria-hidden='true'></span>"
        f"{words}{below}</section>"
    )


def player() -> str:
    """Render the player of the visitor's own recording, which never leaves the browser to be played."""
    return (
        "<div id='player-bar' hidden>"
        f"<button type='button' id='player-button' data-action='playpause' {label('play')}>"
        f"{PLAY}{PAUSE}</button>"
        "<span id='player-name'></span>"
        "<span class='seek'><svg id='player-wave' viewBox='0 0 360 32' preserveAspectRatio='none' "
        "aria-hidden='true'></svg>"
        f"<input type='range' id='player-seek' min='0' max='1' step='0.01' value='0' {label('position')}>"
        "</span>"
        "<span id='player-time'>0:00</span>"
        f"<button type='button' class='btn small' data-action='again'>{span('record_again')}</button>"
        "<button type='button' class='btn small' data-action='upload' data-input='upload-input'>"
        f"{span('upload_another')}</button>"
        f"<button type='button' class='btn small' data-action='clear'>{span('clear')}</button>"
        "<span id='player-now'></span><audio id='player' preload='metadata'></audio></div>"
    )
