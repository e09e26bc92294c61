"""List the licences of what `requirements.txt` installs, and the known advisories against it.

    python benchmarks/audit.py          # print them; the exit status is 1 if there is an advisory
    python benchmarks/audit.py --save   # write results/audit.json as well

pip-audit looks advisories up at PyPI. Without a connection the advisories are unknown; the command says so
and the exit status is 0.
"""

import argparse
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from record import RESULTS, save_result

ROOT = Path(__file__).parent.parent
SECONDS = 300  # until pip-audit is stopped


def main() -> None:
    """Run the audit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--save", action="store_true", help="write results/audit.json")
    save = parser.parse_args().save
    packages = sorted(close((ROOT / "requirements.txt").read_text().splitlines()))
    licences: dict[str, list[str]] = {}
    for name in packages:
        licences.setdefault(licence(name), []).append(name)
    advisories, reason = find_advisories(packages)
    for words, names in sorted(licences.items()):
        print(f"{words}: {', '.join(names)}")
    print(reason or f"{len(advisories)} advisories: {json.dumps(advisories)}")
    if save:
        figures = {
            "packages": len(packages),
            "licences": dict(sorted(licences.items())),
            "advisories": advisories,
            "advisories_unknown_because": reason,
        }
        save_result(RESULTS / "audit.json", figures, ["packaging"])
    raise SystemExit(bool(advisories))


def close(lines: list[str]) -> set[str]:
    """Return the installed packages that the requirements name, with all their dependencies."""
    waiting = [(Requirement(line), "") for line in lines if line and not line.startswith(("#", "-"))]
    found: set[tuple[str, str]] = set()
    while waiting:
        wish, extra = waiting.pop()
        if wish.marker and not wish.marker.evaluate({"extra": extra}):
            continue
        for own in ("", *wish.extras):
            key = canonicalize_name(wish.name), own
            try:
                needs = distribution(wish.name).requires or []
            except PackageNotFoundError:  # of another system
                continue
            if key not in found:
                found.add(key)
                waiting += [(Requirement(need), own) for need in needs]
    return {name for name, _ in found}


def licence(name: str) -> str:
    """Return the licence that a package states: an expression, classifiers, or its text's first line."""
    facts = distribution(name).metadata
    classifiers = [each for each in facts.get_all("Classifier") or [] if each.startswith("License ::")]
    text = (facts.get("License") or "").strip().partition("\n")[0]
    named = " and ".join(each.rpartition(" :: ")[2] for each in classifiers)
    return facts.get("License-Expression") or named or text or "not stated"


def find_advisories(packages: list[str]) -> tuple[list[dict] | None, str | None]:
    """Look up the advisories against the installed versions.

    Returns:
        The package, version, id and fixed versions of each advisory, and None. If they are unknown, None and
        a sentence that says why.
    """
    pins = "".join(f"{name}=={version(name).partition('+')[0]}\n" for name in packages)
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--no-deps", "--disable-pip"]
    try:
        result = subprocess.run(
            [*command, "--progress-spinner", "off", "-r", "/dev/stdin"],
            input=pins, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        answers = json.loads(result.stdout)["dependencies"]
    except (ValueError, KeyError, subprocess.TimeoutExpired):
        return None, "The advisories are unknown: pip-audit is not installed, or PyPI cannot be reached."
    if unknown := [each["name"] for each in answers if "skip_reason" in each]:
        return None, (f"The advisories are unknown: no answer for {len(unknown)} of {len(answers)} packages.")
    return [
        {
            "package": each["name"],
            "version": each["version"],
            "id": found["id"],
            "fixed": found["fix_versions"],
        }
        for each in answers
        for found in each["vulns"]
    ], None


if __name__ == "__main__":
    main()
