"""Files that ship with the code: the model folders and the card templates.

In a checkout they are at its top level; a wheel carries copies inside the package (see pyproject.toml).
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_PLACES = (_PACKAGE / "_shipped", _PACKAGE.parent)


def shipped_path(name: str) -> Path:
    """Return the path of a shipped file or folder.

    Args:
        name: its path in the repository, as in `models/wav2vec2`.

    Raises:
        FileNotFoundError: this installation does not have it.
    """
    for place in _PLACES:
        if (place / name).exists():
            return place / name
    raise FileNotFoundError(2, "This installation does not have it", name)
