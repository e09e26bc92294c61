"""The model card: `model_card.md`, a Jinja template, filled from a report and from nothing else."""

from jinja2 import Environment, StrictUndefined

from speech_emotion.models.folder import PICTURES
from speech_emotion.shipped import shipped_path


def leaks(training: dict) -> bool:
    """Return whether a model was trained and tested on the same speakers, so that its figures flatter."""
    return training.get("leaks_speakers", training.get("protocol") == "random")


def calibration_split(training: dict) -> str:
    """Name the speakers on whom a model's temperature and threshold hang."""
    return "held-out" if training.get("calibration_folds") else "validation"


def fill_card(report: dict) -> str:
    """Fill the model card's template from a report, as `evaluation.evaluate_folder` makes it.

    Raises:
        jinja2.UndefinedError: the template names what the report does not hold.
    """
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # it is Markdown
    )
    environment.filters |= {
        "percent": percent,
        "interval": interval,
        "decimals": decimals,
        "millions": lambda number: f"{number / 1e6:.1f}",
    }
    return environment.from_string(shipped_path("model_card.md").read_text("utf-8")).render(
        report,
        picture=picture,
        leaks=leaks(report["training"]),
        calibration_split=calibration_split(report["training"]),
    )


def picture(name: str, caption: str) -> str:
    """Show one of the `PICTURES`, in Markdown.

    >>> picture("coverage", "Answers")
    '![Answers](coverage.png)'
    """
    return f"![{caption}]({PICTURES[name]})"


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share as percent; a dash where there was nothing to measure.

    >>> percent(0.7234), percent(None)
    ('72.3%', '–')
    """
    return "–" if share is None else f"{share:.{digits}%}"


def decimals(number: float | None, digits: int) -> str:
    """Write a number with so many decimals; a dash where there was nothing to measure.

    >>> decimals(0.0149, 3), decimals(None, 3)
    ('0.015', '–')
    """
    return "–" if number is None else f"{number:.{digits}f}"


def interval(intervals: dict | None, name: str) -> str:
    """Write the two ends of one of a report's intervals in percent; a dash where there is none.

    >>> interval({"uar": [0.614, 0.7], "recall": None}, "uar"), interval(None, "uar")
    ('61–70', '–')
    """
    ends = intervals and intervals[name]
    return f"{100 * ends[0]:.0f}–{100 * ends[1]:.0f}" if ends else "–"
