"""The lifecycle of trading days: seven phases a session, each timed.

1. **initialize** (`_initialize`): mark every requested stream as streamed, generated or ignored; reset session state.
2. **historical** (`source.start`, then inside every window): trailing windows and warm-up up to the open.
3. **queues** (`_queues`): take the session from the prefetched window; live, start the streams.
4. **activate** (`_activate`): mark the session active and start its metrics.
5. **stream** (`engine.play`): minute by minute, under the guards.
6. **end of session** (`_end`): deactivate, account, write results; the session's data is dropped, history is kept.
7. **advance** (`_advance`): the next session by the calendar, or finish with exactly one reason.

Live differs from a backtest only in where minutes come from (`Source`) and where orders go (the engine's book).
"""

from __future__ import annotations

import time as wall
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import polars as pl

from bt.engine import Engine, SessionOutcome
from bt.errors import BtError, DataError, MoneyError
from bt.memory import give_back_memory
from bt.model import Progress
from bt.prepare import PreparedWindow

Mode = Literal["backtest", "live"]
Marking = Literal["streamed", "generated", "ignored"]
FinishReason = Literal["end_date", "no_more_data", "stopped"]

MARKINGS: Mapping[Mode, Mapping[str, Marking]] = {
    "backtest": {"1m": "streamed", "ticks": "ignored", "quotes": "ignored"},
    "live": {"1m": "streamed", "ticks": "streamed", "quotes": "streamed"},
}
"""How each base stream is treated; every coarser interval is generated in both modes."""

PHASES = ("initialize", "historical", "queues", "activate", "stream", "end_of_session", "advance")


def mark_streams(mode: Mode, requested: Sequence[str]) -> dict[str, Marking]:
    """Each requested stream ("1m", "ticks", "quotes" or a coarser interval) with its marking."""
    return {stream: MARKINGS[mode].get(stream, "generated") for stream in dict.fromkeys(("1m", *requested))}


class Source(Protocol):
    """Where sessions come from: the store through `prepare`, or (later) live streams."""

    history_seconds: dict[str, float]

    def start(self) -> None:
        """Bring history up to the first session's open."""

    def windows(self) -> Generator[PreparedWindow, None, None]:
        """Prepared sessions in order, some at a time. Once closed it reads nothing more."""


class Counted(Protocol):
    """How much has been recorded."""

    sessions: int
    bars: int


class SessionRecorder(Protocol):
    """Where what happened goes: to the tables of a run (`bt.recorder`), or only counted."""

    @property
    def totals(self) -> Counted:
        """So far."""

    def session(
        self, outcome: SessionOutcome, quality: pl.DataFrame, guards: pl.DataFrame, failed: Mapping[int, str]
    ) -> None:
        """One session is over."""


@dataclass(frozen=True)
class Agenda:
    """Which sessions are played: number of the first in the schedule, how many, whether the last one is the one the run was
    asked to end with (otherwise data or calendar ended earlier), what happens to positions at the end, whether a session
    with a faulty row ends the run, and how many sessions before the first are shown to warm strategies up: they are played like
    the others, and nothing of them is recorded."""

    first: int
    total: int
    complete: bool
    at_end: Literal["mark", "close"] = "mark"
    refuse_faults: bool = False
    warm: int = 0


@dataclass
class SessionState:
    """What is true of the session being played; made anew for each."""

    markings: Mapping[str, Marking]
    active: bool = False


@dataclass
class Timings:
    """Wall seconds by phase and by part of the preparation."""

    phases: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    parts: dict[str, float] = field(default_factory=dict)
    sessions: list[dict[str, float]] = field(default_factory=list)

    def add_parts(self, seconds: Mapping[str, float]) -> None:
        """Add a window's or the start's parts: history_load, load, features, indicators, quality."""
        for part, value in seconds.items():
            self.parts[part] = self.parts.get(part, 0.0) + value


class SessionCoordinator:
    """Drives the sessions of a run.

    Parameters
    ----------
    mode : {"backtest", "live"}
        Decides the markings, nothing else.
    requested : sequence of str
        Streams asked for, "1m" is always there.
    """

    def __init__(
        self,
        mode: Mode,
        requested: Sequence[str],
        *,
        source: Source,
        engine: Engine,
        recorder: SessionRecorder,
        agenda: Agenda,
        progress: Progress | None = None,
    ) -> None:
        self._mode: Mode = mode
        self._requested = requested
        self._source = source
        self._engine = engine
        self._recorder = recorder
        self._agenda = agenda
        self._progress = progress
        self.timings = Timings()
        self.markings: dict[str, Marking] = {}
        self.stop_reason: str | None = None
        self.waiting = False
        self.fault: BtError | None = None

    def run(self) -> FinishReason:
        """Play every session; why it ended."""
        with self._phase("historical"):
            self._source.start()
        self.timings.add_parts(self._source.history_seconds)
        # closed whatever ends the run, and before the store is: the next window is being read
        with closing(self._source.windows()) as windows:
            try:
                return self._played(windows)
            except (DataError, MoneyError) as error:
                if not self._recorder.totals.sessions:
                    raise
                self.fault, self.stop_reason = error, str(error)  # the sessions before it are kept
                return "stopped"

    def _played(self, windows: Iterator[PreparedWindow]) -> FinishReason:
        """Play the sessions of every window; why it ended."""
        number = -self._agenda.warm
        while (window := self._queues(windows)) is not None:
            for i in range(len(window.sessions)):
                if self._agenda.refuse_faults and i in window.faults:
                    self.fault = DataError(window.faults[i])
                    self.stop_reason = str(self.fault)
                    return "stopped"
                state = self._initialize()
                last = number + 1 == self._agenda.total
                self._activate(state, window, i)
                outcome = self._stream(window, i, number, last=last)
                self._end(state, window, i, None if number < 0 else outcome)
                number += 1
                reason = self._advance(number, outcome)
                if reason is not None:
                    return reason
            del window
        return self._finished()

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = wall.perf_counter()
        self.waiting = name in ("historical", "queues")
        try:
            yield
        finally:
            self.waiting = False
            self.timings.phases[name] += wall.perf_counter() - began

    def _initialize(self) -> SessionState:
        with self._phase("initialize"):
            self.markings = mark_streams(self._mode, self._requested)
            return SessionState(self.markings)

    def _queues(self, windows: Iterator[PreparedWindow]) -> PreparedWindow | None:
        with self._phase("queues"):
            window = next(windows, None)
        if window is not None:
            self.timings.add_parts(window.seconds)
        return window

    def _activate(self, state: SessionState, window: PreparedWindow, i: int) -> None:
        with self._phase("activate"):
            state.active = True
            self.timings.sessions.append({"bars": float(len(window.sessions[i].minutes.code))})

    def _stream(self, window: PreparedWindow, i: int, number: int, *, last: bool) -> SessionOutcome:
        began = wall.perf_counter()
        with self._phase("stream"):
            outcome = self._engine.play(
                window.take(i), self._agenda.first + number, last=last, at_end=self._agenda.at_end
            )
        self.timings.sessions[-1]["stream"] = wall.perf_counter() - began
        return outcome

    def _end(self, state: SessionState, window: PreparedWindow, i: int, outcome: SessionOutcome | None) -> None:
        """Write what happened; None was a session to warm up."""
        with self._phase("end_of_session"):
            state.active = False
            if outcome is None:
                self.timings.sessions.pop()
                return
            failed = {code: why for (session, code), why in window.failed.items() if session == i}
            self._recorder.session(outcome, window.quality[i], window.guards[i], failed)
            give_back_memory()
            if self._progress is not None:
                totals = self._recorder.totals
                self._progress(totals.sessions, self._agenda.total, totals.bars)

    def _advance(self, number: int, outcome: SessionOutcome) -> FinishReason | None:
        with self._phase("advance"):
            self.stop_reason = outcome.stopped or self._engine.stopped()
            if self.stop_reason is not None:
                return "stopped"
            return self._finished() if number == self._agenda.total else None

    def _finished(self) -> FinishReason:
        return "end_date" if self._agenda.complete else "no_more_data"
