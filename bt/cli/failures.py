"""Every exception as a message that a person can act on, and an exit code."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

from bt.cli.streams import Output
from bt.errors import BtError, StrategyError, StrategyRaised

DONE, INTERNAL, USAGE, PARTLY, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: done; an internal error, a full disk, a strategy that raised; a wrong request; some symbols or strategies
failed; Ctrl-C."""

OURS = str(Path(__file__).resolve().parents[1])


def block(message: str) -> str:
    """``error: message``, its further lines indented below."""
    first, *rest = message.splitlines() or [""]
    return "\n".join([f"error: {first}", *(f"       {line.strip()}" for line in rest)])


def failed(output: Output, error: BaseException) -> int:
    """The exit code of `error`, after telling of it."""
    if isinstance(error, KeyboardInterrupt):
        message = str(error) or "interrupted; nothing was written"
        return _tell(output, error, message, INTERRUPTED)
    if isinstance(error, SystemExit):
        message = (
            f"a strategy ended the process with exit code {error.code}, nothing was written; use book.stop(reason)"
        )
        return _tell(output, error, message, INTERNAL)
    if isinstance(error, BtError):
        if isinstance(error, StrategyError | StrategyRaised) and error.__cause__ is not None:
            _frames(output, error.__cause__)
        return _with_run(output, error)
    traceback.print_exception(error, file=sys.stderr)
    message = f"internal error: {type(error).__name__}: {error}"
    code = _tell(output, error, message, INTERNAL)
    output.message("this is a bug in bt: please report it with the command, the traceback above and `bt --version`")
    return code


def refused(output: Output, error: Any, command: str) -> int:
    """The exit code of a command line that typer could not parse, after telling of it."""
    code = _tell(output, error, error.format_message(), USAGE)
    output.message(f"       try: {command} --help")
    return code


def _tell(output: Output, error: BaseException, message: str, code: int, **more: Any) -> int:
    output.message(block(message))
    _object(output, error, message, code, **more)
    return code


def _object(output: Output, error: BaseException, message: str, code: int, **more: Any) -> None:
    if output.as_json and not output.answered:
        told = {"type": type(error).__name__, "message": message, "exit_code": code}
        output.json({**more, "error": told})


def _with_run(output: Output, error: BtError) -> int:
    """What was raised and where, and the folder of what was replayed before, where something was."""
    output.message(block(str(error)))
    summary = {} if error.run is None else dict(error.run.summary)
    if error.run is not None and error.run.path is not None:
        output.message(f"       what was replayed until then is in {error.run.path} (finish_reason stopped)")
    _object(output, error, str(error), error.exit_code, **summary)
    return error.exit_code


def _frames(output: Output, cause: BaseException) -> None:
    """The traceback from the strategy's first frame on; all of it if no frame is the strategy's."""
    frames = list(traceback.extract_tb(cause.__traceback__))
    theirs = [i for i, frame in enumerate(frames) if not frame.filename.startswith((OURS, "<frozen importlib"))]
    first = theirs[0] if theirs else len(frames) if isinstance(cause, SyntaxError) else 0
    shown = [*traceback.format_list(frames[first:]), *traceback.format_exception_only(cause)]
    output.message("Traceback of the strategy (most recent call last):")
    output.message("".join(shown).rstrip())
