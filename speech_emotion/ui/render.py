"""Answers as HTML. Whatever a visitor sent, such as a file's name, is escaped."""

from html import escape

from speech_emotion.inference.prediction import Prediction
from speech_emotion.ui.avatar import draw_face
from speech_emotion.ui.page import emotion_class, icon
from speech_emotion.ui.wording import Advice, emotion_name, refuse, span, text

TOP_ROWS = 3  # emotions that an answer shows before the rest is unfolded
UNSURE_NAMES = 0.15  # from this probability on, a second emotion is named where the model is not sure


def hint(sentence: str) -> str:
    """Render a sentence that says what will appear here."""
    return f"<div class='card'><p class='hint'>{escape(sentence)}</p></div>"


def working(language: str) -> str:
    """Render the card that stands while a recording is being classified."""
    words = escape(text("listening", language))
    return f"<div class='card waiting'><span class='pulse'></span><p>{words}</p></div>"


def refusal(sentence: str) -> str:
    """Render the reason why there is no result."""
    sentence = escape(sentence)
    return f"<div class='card' data-say='{sentence}'><p class='refusal' role='alert'>{sentence}</p></div>"


def damage(sentence: str, language: str) -> str:
    """Render what could not be read of a recording; "" where all of it could."""
    return f"<p class='damage'>{escape(refuse(sentence, language))}</p>" if sentence else ""


def notice(sentences: list[str]) -> str:
    """Render what every visitor should know, above all screens."""
    return "".join(f"<p class='refusal' role='status'>{escape(sentence)}</p>" for sentence in sentences)


def welcome() -> str:
    """Render the empty answer: which emotions there are, and what will appear here."""
    faces = "".join(icon(label) for label in ("angry", "happy", "sad", "surprised"))
    return f"<div class='card welcome'><div class='faces'>{faces}</div>{span('invitation', 'p')}</div>"


def answer_card(
    prediction: Prediction, advice: Advice, facts: dict[str, str], language: str, meant: str = ""
) -> str:
    """Render one recording's answer: face, emotion, how sure, the top three, and what one could say.

    Args:
        prediction: of the recording.
        advice: the same in words, in this language.
        facts: rows of the details, by a label's key: file, model, calibration.
        language: a key of `LANGUAGES`.
        meant: of an example, the emotion that its actor meant; else "".
    """
    title, how = headline(prediction, language)
    said = f"{_plain(title)}. {how}."
    order = sorted(prediction.probabilities, key=prediction.probabilities.get, reverse=True)
    shown = {label: prediction.probabilities[label] for label in order[:TOP_ROWS]}
    rest = {label: prediction.probabilities[label] for label in order[TOP_ROWS:]}
    unfold = escape(text("details" if rest else "details_only", language, count=len(order)))
    details = "".join(
        f"<dt>{escape(text(key, language))}</dt><dd>{escape(value)}</dd>"
        for key, value in facts.items()
        if value
    )
    also = "".join(f"<p>{escape(each)}</p>" for each in (advice.second, advice.confusion) if each)
    also = also or f"<p>{escape(text('nothing_close', language))}</p>"
    suggestions = "".join(f"<li>{escape(each)}</li>" for each in advice.suggestions)
    may = f"<p class='may'>{escape(advice.may_express)}</p>" if advice.may_express else ""
    if meant:
        words = text("meant", language, emotion=emotion_name(meant, language))
        may = f"<p class='may meant'>{escape(words)}</p>{may}"
    return (
        f"<article class='card answer' lang='{language}' data-say='{escape(said, quote=True)}'>"
        f"<div class='verdict'><div class='face'>{face(prediction, language)}</div>"
        f"<div><h2 class='label {emotion_class(prediction.label)}' data-label='{escape(prediction.label)}' "
        f"data-sure='{str(prediction.sure).lower()}'>{title}</h2><p class='how'>{escape(how)}</p></div>"
        f"{damage(prediction.damage, language)}{may}</div>"
        f"<ul class='rows'>{bars(shown, language)}</ul>"
        f"<details class='all'><summary>{unfold}</summary><ul class='rows'>{bars(rest, language)}</ul>"
        f"<p class='note'>{escape(advice.sounds_like)}</p><dl class='facts'>{details}</dl></details>"
        f"<div class='talk advice' lang='{language}'>"
        f"<div><h3>{escape(text('could_also', language))}</h3>{also}</div>"
        f"<div><h3>{escape(text('you_could', language))}</h3><ul>{suggestions}</ul></div></div>"
        f"<p class='care'>{escape(advice.caution)} {escape(text('often_wrong', language))} "
        f"<a href='#about' data-action='screen' data-screen='about'>{escape(text('how_often', language))}</a>"
        "</p>"
        "</article>"
    )


def headline(prediction: Prediction, language: str) -> tuple[str, str]:
    """Return an answer's title as HTML, the emotion in bold, and a line about how sure the model is."""
    name, share = emotion_name(prediction.label, language), f"{100 * prediction.confidence:.0f}"
    if prediction.sure:
        degree = "how_sure" if prediction.confidence >= 0.8 else "how_fairly"
        return bold("sounds", name, language), text(degree, language, share=share)
    if prediction.mixed:
        return escape(text("mixed_title", language)), text("mixed_how", language)
    others = sorted(prediction.probabilities, key=prediction.probabilities.get, reverse=True)[1:2]
    if others and prediction.probabilities[others[0]] >= UNSURE_NAMES:
        other = emotion_name(others[0], language)
        return escape(text("not_sure", language)), text("perhaps_two", language, emotion=name, other=other)
    return escape(text("not_sure", language)), text("perhaps", language, emotion=name)


def face(prediction: Prediction, language: str, size: int = 180) -> str:
    """Draw the face of a prediction; a model that is not sure has a face of its own."""
    words = text("face_of", language, emotion=emotion_name(prediction.label, language))
    words = words if prediction.sure else text("face_unsure", language)
    return draw_face(prediction.probabilities, size, 0.0 if prediction.sure else 1.0, words)


def bars(shares: dict[str, float], language: str) -> str:
    """Render a row for each share of 1: the emotion's icon and name, a bar, and percent."""
    return "".join(
        f"<li class='row {emotion_class(label)}' data-label='{escape(label)}'>{icon(label, little=True)}"
        f"<span class='name'>{escape(emotion_name(label, language))}</span>"
        f"<span class='bar' aria-hidden='true'><i style='width:{share:.1%}'></i></span>"
        f"<span class='percent'>{100 * share:.0f}&nbsp;%</span></li>"
        for label, share in shares.items()
    )


def tags(shares: dict[str, float], language: str) -> str:
    """Render each emotion's share of a longer recording as a small tag."""
    return "".join(
        f"<li class='tag {emotion_class(label)}'>{icon(label, little=True)}"
        f"{escape(emotion_name(label, language))} {100 * share:.0f}&nbsp;%</li>"
        for label, share in shares.items()
    )


def clock(seconds: float) -> str:
    """Write 83 seconds as `1:23`, and an hour more as `1:01:23`."""
    whole = int(seconds)
    minutes = f"{whole // 60 % 60}:{whole % 60:02}"
    return minutes if whole < 3600 else f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def progress(seconds: float, stated: float | None, language: str) -> str:
    """Render how far into a recording the model has come; a moving bar where its length is not known."""
    value = f" max='{stated:.1f}' value='{min(seconds, stated):.1f}'" if stated else ""
    key = "heard_of" if stated else "heard"
    words = text(key, language, done=clock(seconds), whole=clock(stated or 0))
    return _progress(value, words)


def count_progress(done: int, whole: int, language: str) -> str:
    """Render how many of so many recordings are done."""
    return _progress(f" max='{whole}' value='{done}'", text("done_of", language, done=done, whole=whole))


def _progress(value: str, words: str) -> str:
    words = escape(words)
    return (
        f"<div class='progress'><progress{value} aria-label='{words}'></progress>"
        f"<p class='note'>{words}</p></div>"
    )


def stop_button(press: str, language: str) -> str:
    """Render a button that stops what is under way, by pressing a hidden button of Gradio."""
    words, attributes = escape(text("stop", language)), f"data-action='press' data-press='{press}'"
    return f"<div><button type='button' class='btn' {attributes}>{words}</button></div>"


def opening(lead: str, words: str, press: str) -> str:
    """Render a sentence and a button that starts what it announces, by pressing a hidden button of Gradio."""
    return (
        f"<div class='stack'>{span(lead, 'p', 'class=lead')}<div><button type='button' class='btn main' "
        f"data-action='press' data-press='{press}'>{span(words)}</button></div></div>"
    )


def saving(key: str, name: str, mime: str, content: str, language: str, main: bool = False) -> str:
    """Render a button that saves a text as a file; the page holds the text and the server keeps nothing."""
    place = f"file-{key.replace('_', '-')}"
    return (
        f"<button type='button' class='btn{' main' if main else ''}' data-action='save' data-save='{place}' "
        f"data-name='{escape(name, quote=True)}' data-mime='{mime}'>{escape(text(key, language))}</button>"
        f"<pre hidden id='{place}'>{escape(content)}</pre>"
    )


def bold(key: str, name: str, language: str) -> str:
    """Return a sentence as HTML in which the emotion's name is bold."""
    mark = "\N{OBJECT REPLACEMENT CHARACTER}"
    return escape(text(key, language, emotion=mark)).replace(mark, f"<b>{escape(name)}</b>")


def _plain(html: str) -> str:
    return html.replace("<b>", "").replace("</b>", "")
