"""The command `python -m data_prep` in this process, which saves the seconds that importing takes."""

import contextlib
import io
import sys
from typing import NamedTuple

from data_prep.__main__ import main


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def prepare(*arguments) -> Result:
    out, err = io.StringIO(), io.StringIO()
    before, code = sys.argv, 0
    sys.argv = ["data_prep", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        if isinstance(end.code, str):
            err.write(end.code)
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = before
    return Result(code, out.getvalue(), err.getvalue())
