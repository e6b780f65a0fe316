"""A worker: the other end of `bt.run.pool`. It is given jobs on standard input, one after another, and tells on what was standard output.

It dies with the process that started it. Whatever else is written to standard output goes to standard error; what Python code prints is
told to the process that started this one, which prints it.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import sys
import traceback
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import IO, Any

from bt.errors import BtError
from bt.run.pool import receive, send
from bt.strategy import dumps

IN, OUT, ERR = 0, 1, 2
MUCH = 1 << 16
"""Characters of prints that are passed on at once, at the latest when something is told."""


class _Prints(io.TextIOBase):
    """Standard output of a worker."""

    def __init__(self, channel: _Channel) -> None:
        self._channel = channel
        self._text: list[str] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._text.append(text)
        self._size += len(text)
        if self._size > MUCH:
            self.pass_on()
        return len(text)

    def pass_on(self) -> None:
        """Hand over what was printed."""
        text, self._text, self._size = "".join(self._text), [], 0
        if text:
            self._channel.post("said", text)


class _Channel:
    """Where messages go."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lock = Lock()
        self.prints = _Prints(self)

    def post(self, kind: str, value: Any) -> None:
        """One message; without its reader this process has nothing to live for."""
        data = pickle.dumps((kind, value), protocol=5)
        try:
            with self._lock:
                send(self._pipe, data)
        except OSError:
            os._exit(1)

    def tell(self, value: Any) -> None:
        """What the work tells, after what was printed before."""
        self.prints.pass_on()
        self.post("told", value)

    def end(self, kind: str, value: Any) -> None:
        """The last message of a job, after all that was said: who receives it may end this process."""
        self.prints.pass_on()
        with suppress(OSError):
            sys.stderr.flush()
        self.post(kind, value)


def main() -> None:
    """Do jobs until one raises, or whoever gives them ends this process or its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given = os.fdopen(os.dup(IN), "rb")
    channel = _Channel(os.fdopen(os.dup(OUT), "wb"))
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, IN)
    os.dup2(ERR, OUT)
    sys.stdout = channel.prints
    jobs: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_outlive_nobody, args=(given, jobs), daemon=True).start()
    while _does(jobs.get(), channel):
        pass
    os._exit(0)  # threads of libraries are not waited for: everything is told


def _does(job: bytes, channel: _Channel) -> bool:
    """Do a job, and tell its result or error; whether there was no error."""
    try:
        work, argument = pickle.loads(job)  # noqa: S301 - from our own process
        channel.end("done", work(argument, channel.tell))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the process that waits must be told
        channel.end("raised", (_carried(error), "".join(traceback.format_exception(error))))
        return False
    return True


def _outlive_nobody(given: IO[bytes], jobs: SimpleQueue[bytes]) -> None:
    """Take jobs; the other end of the pipe closes when the process that started this one ends."""
    try:
        while (job := receive(given)) is not None:
            jobs.put(job)
    finally:
        os._exit(1)  # whatever it was: nobody would give this process anything to do


def _carried(error: BaseException) -> BaseException | None:
    """The error if it is of a kind that means something elsewhere, and can be carried there."""
    if isinstance(error, BtError | SystemExit):
        with suppress(Exception):
            pickle.loads(dumps(error, "error"))  # noqa: S301 - our own
            return error
    return None
