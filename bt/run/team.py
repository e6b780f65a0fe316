"""What the parts of a run tell, passed on session by session once all have: those of other processes, and of the one that this process plays meanwhile."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, Protocol

from bt.errors import WorkerError
from bt.run.gathering import Undivided
from bt.run.pool import Prints, Result
from bt.run.slices import Stopped

AHEAD = 16
"""Sessions of this process's part that wait to be told by the others before it waits for them: as many as it plays while they start."""


class Teller(Protocol):
    """A worker of `bt.run.pool`."""

    def take(self, stop: Event | None = None) -> Any:
        """What it tells next; None once `stop` is set."""

    def poll(self) -> Any:
        """The same, None where there is nothing yet."""


class Team:
    """Who plays a run.

    Parameters
    ----------
    workers : sequence of Teller
        The other processes, in the order of their parts.
    stop : Event
        Set by Ctrl-C: from then on only what has been told is passed on.
    heard : callable
        Given what every part tells of one session, this process's first.

    Attributes
    ----------
    prints : Prints
        Standard output of this process's part: it is printed when its session is passed on, before what others printed in it.
    """

    def __init__(self, workers: Sequence[Teller], stop: Event, heard: Callable[[list[Any]], None]) -> None:
        self._workers, self._stop, self._heard = workers, stop, heard
        self._out = sys.stdout
        self._own: deque[tuple[str, Any]] = deque()
        self._others: list[Any] = []
        self._is_whole = True
        self.prints = Prints()

    def tell(self, value: Any) -> None:
        """What this process's part tells. Sessions that everybody has told by now are passed on.

        Raises
        ------
        Undivided
            The run has to be played in one process.
        WorkerError
            A worker died.
        BtError
            Another raised that.
        """
        if self._stop.is_set():  # what it tells then is that it was stopped
            return
        if isinstance(value, Stopped):
            raise Undivided(value.reason)
        self._own.append((self.prints.taken(), value))
        self._pass_on()

    def ends(self, value: Any) -> list[Any] | None:
        """Once this process's part is over, with what it came to: wait for the others. What each came to, None after Ctrl-C.

        Raises
        ------
        Undivided, WorkerError, BtError
            As `tell`.
        """
        if not self._stop.is_set():
            self._own.append((self.prints.taken(), Result(value)))
        told = self._pass_on(waits=True)
        return None if told is None else [result.value for result in told]

    def rest(self) -> None:
        """Once a second Ctrl-C has ended whatever was going on: pass on what everybody has told, unless it was that."""
        if self._is_whole:
            self._pass_on()

    def _pass_on(self, *, waits: bool = False) -> list[Any] | None:
        """Pass on what everybody tells, session by session, until not all have told the next; the results where they have come to their ends."""
        while (told := self._next(waits=waits or len(self._own) > AHEAD)) is not None:
            if isinstance(told[0], Result):
                return told
            self._is_whole = False
            with contextlib.redirect_stdout(self._out):  # it is no word of the strategies'
                self._heard(told)
            self._is_whole = True
        return None

    def _next(self, *, waits: bool) -> list[Any] | None:
        """What everybody tells next: of one session, or at the end; None where not all have."""
        if not self._own:
            return None
        printed, own = self._own[0]
        if printed:
            self._out.write(printed)
            self._own[0] = "", own
        for worker in self._workers[len(self._others) :]:
            told = worker.poll()
            if told is None and waits:
                told = worker.take(self._stop)
            if told is None:
                return None
            self._others.append(told)
        told, self._others = [own, *self._others], []
        self._own.popleft()
        return _of_one_session(told)


def _of_one_session(told: list[Any]) -> list[Any]:
    """What was told, if it belongs together."""
    for stopped in (t for t in told if isinstance(t, Stopped)):
        raise Undivided(stopped.reason)
    if len({type(t) for t in told}) > 1:
        raise WorkerError(
            "engine.workers: workers must play the same sessions, were at different ones; this is a bug in bt"
        )
    return told
