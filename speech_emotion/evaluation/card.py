"""The model card: the Jinja template `model_card.md`, filled from a report and from nothing else."""

from jinja2 import Environment, StrictUndefined

from speech_emotion.models.folder import PICTURES
from speech_emotion.shipped import shipped_path

TEMPLATE = "model_card.md"
LEAST_CLIPS = 10  # for each label, on average, from which on figures say something
NO_LANGUAGE = ("mul", "zxx", "unstated")  # several, none, not known
# Fields that reports of version 1 do not have.
SINCE_VERSION_2 = (
    "refused",
    "by_language",
    "left_out",
    "false_alarm",
    "surroundings",
    "short_clips",
    "sure_elsewhere",
)


def leaks(training: dict) -> bool:
    """Return whether a model was trained and tested on the same speakers, so that its figures flatter."""
    return training.get("leaks_speakers", training.get("protocol") == "random")


def says_little(report: dict) -> str:
    """Return a sentence where a report rests on so few clips that its figures are chance; "" elsewhere."""
    if report["clips"] >= LEAST_CLIPS * len(report["labels"]):
        return ""
    return "Nothing can be said about how good the model is: fewer than ten test clips of each emotion."


def calibration_split(report: dict) -> str:
    """Return the name of the clips that a model's temperature and threshold were chosen on."""
    if report.get("sure_elsewhere"):
        return "left-out"
    return "held-out" if report["training"].get("calibration_folds") else "validation"


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
    return environment.from_string(shipped_path(TEMPLATE).read_text("utf-8")).render(
        dict.fromkeys(SINCE_VERSION_2) | report,
        picture=picture,
        languages=languages(report),
        leaks=leaks(report["training"]),
        says_little=says_little(report),
        calibration_split=calibration_split(report),
    )


def languages(report: dict) -> str:
    """Return the languages of the test clips as the hub's YAML expects them.

    >>> languages({"by_language": {"en": {}}}), languages({"by_language": {"bn": {}, "en": {}, "mul": {}}})
    ('en', '[bn, en]')
    """
    codes = [code for code in sorted(report.get("by_language") or ["en"]) if code not in NO_LANGUAGE]
    return codes[0] if len(codes) == 1 else f"[{', '.join(codes)}]"


def picture(name: str, caption: str) -> str:
    """Return the Markdown that shows one of the `PICTURES`.

    >>> picture("coverage", "Answers")
    '![Answers](coverage.png)'
    """
    return f"![{caption}]({PICTURES[name]})"


def percent(share: float | None, digits: int = 1) -> str:
    """Format a share as percent; a dash where nothing was measured.

    >>> percent(0.7234), percent(None)
    ('72.3%', '–')
    """
    return "–" if share is None else f"{share:.{digits}%}"


def decimals(number: float | None, digits: int) -> str:
    """Format a number with this many decimals; a dash where nothing was measured.

    >>> decimals(0.0149, 3), decimals(None, 3)
    ('0.015', '–')
    """
    return "–" if number is None else f"{number:.{digits}f}"


def interval(intervals: dict | None, name: str) -> str:
    """Format the two ends of one of a report's intervals in percent; a dash where there is none.

    >>> interval({"uar": [0.614, 0.7], "recall": None}, "uar"), interval(None, "uar")
    ('61–70', '–')
    """
    ends = intervals and intervals[name]
    return f"{100 * ends[0]:.0f}–{100 * ends[1]:.0f}" if ends else "–"
