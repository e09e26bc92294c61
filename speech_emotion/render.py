"""A prediction as a visitor sees it: HTML made of a model's labels and numbers, never of what was sent."""

from html import escape

from speech_emotion.inference import Prediction
from speech_emotion.palette import emotion_colour

EMPTY = (
    "<div class='answer'><p class='hint'>Record or upload a voice, and its emotion appears here.</p></div>"
)

CSS = """
.answer { min-height: 23rem; padding: 0.5rem 0.25rem; }
.answer .hint, .answer .refusal { font-size: 1.1rem; padding: 2rem 0; }
.answer .hint, .answer .note { color: var(--body-text-color-subdued); }
.answer .refusal { font-weight: 600; }
.answer .label { font-size: 2rem; font-weight: 700; line-height: 1.2; margin: 0; }
.answer .note { font-size: 0.85rem; margin: 0.25rem 0 1rem; }
.answer dl { display: grid; grid-template-columns: 6.5rem 1fr 3.5rem; gap: 0.45rem 0.6rem; margin: 0; }
.answer dt, .answer dd { margin: 0; line-height: 1.4rem; }
.answer .bar { height: 1.4rem; background: var(--background-fill-secondary); border-radius: 4px; }
.answer .bar span { display: block; height: 100%; border-radius: 4px; }
.answer .percent { text-align: right; font-variant-numeric: tabular-nums; }
.answer .top { font-weight: 700; }
"""


def render_prediction(prediction: Prediction, note: str) -> str:
    """Lay out the label above a bar per class, in the model's order and each emotion's colour.

    Args:
        prediction: what the classifier said.
        note: one line under the label.
    """
    rows = "".join(
        f"<dt class='{'top' if label == prediction.label else ''}'>{escape(label)}</dt>"
        f"<dd class='bar'><span style='width:{share:.1%};background:{emotion_colour(label)}'></span></dd>"
        f"<dd class='percent'>{share:.0%}</dd>"
        for label, share in prediction.probabilities.items()
    )
    return (
        f"<div class='answer'><p class='label'>{escape(prediction.label)}</p>"
        f"<p class='note'>{escape(note)}</p><dl>{rows}</dl></div>"
    )


def render_refusal(sentence: str) -> str:
    """Lay out the sentence that stands where a result cannot."""
    return f"<div class='answer'><p class='refusal' role='alert'>{escape(sentence)}</p></div>"
