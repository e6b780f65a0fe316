"""Standard output for results alone: while a job runs, whatever else writes there goes to standard error."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, TextIO

from bt.errors import BtError

STDOUT = 1


class OutputError(BtError):
    """Standard output cannot be written."""


@dataclass
class Output:
    """Where one command's results and messages go.

    Attributes
    ----------
    results : TextIO
        The real standard output.
    as_json : bool
        Results are one JSON object.
    quiet : bool
        No progress, no warnings and the shortest result.
    answered : bool
        Something has been written to `results`.
    """

    results: TextIO
    as_json: bool = False
    quiet: bool = False
    answered: bool = False

    def text(self, text: str) -> None:
        """One result as text, with a line end."""
        self.answered = True
        with self._written():
            self.results.write(text + "\n")

    def flush(self) -> None:
        """Write out what is pending.

        Raises
        ------
        OutputError
            Nothing can be written there.
        """
        with self._written():
            self.results.flush()

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:  # a reader that has gone away (`| head`) is no error
            raise
        except OSError as error:
            forget(self.results)
            raise OutputError(
                f"standard output: results must be written, was stopped by: {error.strerror or error}; what was made is kept, `bt runs` lists runs"
            ) from error

    def json(self, value: Mapping[str, Any]) -> None:
        """The one JSON object of a command, on one line."""
        self.text(json.dumps(_plain(value), allow_nan=False, ensure_ascii=False))

    def message(self, text: str) -> None:
        """A message for people, on standard error."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def warn(self, text: str) -> None:
        """A warning, on standard error; none when quiet."""
        if not self.quiet:
            self.flush()  # so that it comes after what it is about
            self.message(f"warning: {text}")

    def notice(self, text: str) -> None:
        """What a person may wonder about while it goes on, on standard error; none when quiet."""
        if not self.quiet:
            self.message(text)

    @property
    def shows_progress(self) -> bool:
        """Whether a progress bar makes sense: a person looks at standard error."""
        return not self.quiet and sys.stderr.isatty()


def _plain(value: Any) -> Any:
    """`value` as JSON knows it: dates as ISO text, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | str) else str(value)


@contextlib.contextmanager
def results_stream() -> Iterator[TextIO]:
    """The real standard output; until the end, everything else that writes to it ends up on standard error.

    That holds for print() in a strategy and, where standard output is the process's own, for libraries and programs
    that write to its file descriptor.
    """
    with contextlib.ExitStack() as stack:
        real, errors = sys.stdout, sys.stderr
        if errors is None:  # closed by whoever started us
            errors = sys.stderr = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        if real is None:
            results: TextIO = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        elif _number(real) == STDOUT and (target := _number(errors)) is not None:
            real.flush()
            kept = os.dup(STDOUT)
            stack.callback(_restore, kept)
            results = stack.enter_context(open(kept, "w", encoding=real.encoding, errors=real.errors, closefd=False))
            os.dup2(target, STDOUT)
        else:
            results = real
        sys.stdout = errors
        try:
            yield results
        finally:
            sys.stdout = real
            _flush(results)


def _number(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        return None


def _restore(kept: int) -> None:
    os.dup2(kept, STDOUT)
    os.close(kept)


def _flush(results: TextIO) -> None:
    """Write out what is pending; a reader that has gone away (``| head``) is no error, and what cannot be written was told."""
    try:
        results.flush()
    except OSError:
        forget(results)
        results.flush()


def forget(stream: TextIO) -> None:
    """Let what is still to be written to `stream`, whose reader has gone away, vanish."""
    number = _number(stream)
    if number is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
