"""Find the recordings under a folder, and decide by their names which corpus each belongs to."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from data_prep.corpora import CORPORA
from data_prep.schema import EXTENSIONS, Clip, Rejected


def find_recordings(root: Path) -> list[Path]:
    """List the audio files under a folder, each once, in the order of their paths.

    Symbolic links are followed. A file or folder that can be reached in several ways is listed once. Hidden
    files are passed over: a download in progress, or what macOS keeps with a file.

    Raises:
        OSError: a folder cannot be read.
    """
    found: dict[str, Path] = {}
    links = []
    for folder, names in _walk(root):
        real = os.path.realpath(folder)
        for name in names:
            path = folder / name
            if path.suffix.lower() not in EXTENSIONS:
                continue
            if path.is_symlink():
                links.append(path)
            elif path.is_file():
                found[f"{real}{os.sep}{name}"] = path
    for path in sorted(links):
        if path.is_file():
            found.setdefault(os.path.realpath(path), path)
    return sorted(found.values())


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    def stop(error: OSError) -> None:  # os.walk would pass over a folder that cannot be read
        if not isinstance(error, FileNotFoundError):
            raise error

    seen = set()
    for folder, folders, names in os.walk(root, onerror=stop, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(folder), sorted(name for name in names if not name.startswith("."))


class Recogniser:
    """Decides which corpus a file of a folder belongs to.

    Some corpora write names of the same form: RAVDESS and BanglaSER both have seven codes with different
    meanings. A name whose codes fit one corpus only is of that corpus. For any other name the nearest folder
    above it decides that holds names of the first kind, provided that they all agree. What the folder is
    called decides nothing, because people rename folders.

    Args:
        root: the folder that holds the corpora.
        paths: all recordings under it.
        named: corpora that the user has named, by folder; they overrule everything else.
    """

    def __init__(self, root: Path, paths: list[Path], named: Mapping[Path, str] | None = None):
        self._named = {folder.resolve(): name for folder, name in (named or {}).items()}
        self._root = root
        self._evidence: dict[Path, set[str]] = defaultdict(set)
        for path in paths:
            if len(names := fitting_corpora(path)) == 1 and hasattr(CORPORA[names[0]], "fits"):
                for folder in self._folders(path):
                    self._evidence[folder].add(names[0])

    def parse_name(self, path: Path) -> Clip:
        """Read the facts in a recording's name.

        Raises:
            Rejected: no corpus names files so, several do and the folder does not tell which, or the name
                breaks the rules of its corpus.
        """
        if corpus := self._name(path):
            return parse_name(path, corpus)
        names = fitting_corpora(path)
        if len(names) > 1:
            names = [self._decide(path, names)]
        return parse_name(path, names[0] if names else None)

    def _name(self, path: Path) -> str | None:
        if not self._named:
            return None
        parents = path.resolve().parents
        return next((self._named[folder] for folder in parents if folder in self._named), None)

    def _decide(self, path: Path, names: list[str]) -> str:
        for folder in self._folders(path):
            if agreed := self._evidence.get(folder, set()) & set(names):
                if len(agreed) == 1:
                    return agreed.pop()
                break
        both = " and ".join(CORPORA[name].NAME for name in names)
        options = " or ".join(f"--corpus {name}={path.parent}" for name in names)
        raise Rejected(
            f"ambiguous name: {both} both write such names, and the other files of the folder do not tell "
            f"which corpus this is. Name it with {options}"
        )

    def _folders(self, path: Path) -> Iterator[Path]:
        for folder in path.parents:
            yield folder
            if folder == self._root:
                return


def fitting_corpora(path: Path) -> list[str]:
    """List the corpora that a recording can belong to by its name alone."""
    stem = path.stem.lower()
    return [
        name
        for name, corpus in CORPORA.items()
        if (match := corpus.PATTERN.fullmatch(stem))
        and (not hasattr(corpus, "fits") or corpus.fits(path, match))
    ]


def parse_name(path: Path, name: str | None = None) -> Clip:
    """Read the facts in a recording's name.

    Args:
        path: the recording.
        name: its corpus; None: the first with names of this form, whose rules then tell what is wrong.

    Raises:
        Rejected: the name is not of the corpus's form, or breaks its rules.
    """
    stem = path.stem.lower()
    for corpus in [CORPORA[name]] if name else CORPORA.values():
        if match := corpus.PATTERN.fullmatch(stem):
            clip = corpus.parse_name(path, match)
            if name:
                return clip
            raise Rejected("its codes do not occur together in any corpus that names files like this")
    if name:
        raise Rejected(f"{CORPORA[name].NAME} does not name its files like this")
    raise Rejected("no corpus names its files like this")
