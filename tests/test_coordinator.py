"""The lifecycle of trading days."""

from __future__ import annotations

import sys
from collections.abc import Generator
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from small import THURSDAY, TUESDAY, WEDNESDAY, Script, bars, play, store

from bt.book import Market
from bt.coordinator import PHASES, Agenda, SessionCoordinator, mark_streams
from bt.engine import Engine, Pace, SessionOutcome
from bt.model import Column, PreparedBars, PreparedSession, Session
from bt.prepare import PreparedWindow
from bt.schema import MINUTE


@pytest.mark.parametrize(
    ("mode", "markings"),
    [
        ("backtest", {"1m": "streamed", "5m": "generated", "1d": "generated", "ticks": "ignored", "quotes": "ignored"}),
        ("live", {"1m": "streamed", "5m": "generated", "1d": "generated", "ticks": "streamed", "quotes": "streamed"}),
    ],
)
def test_every_requested_stream_is_marked(mode, markings):
    assert mark_streams(mode, ["5m", "1d", "ticks", "quotes"]) == markings


def test_minute_bars_are_always_streamed():
    assert mark_streams("backtest", []) == {"1m": "streamed"}
    assert mark_streams("live", ["1m"]) == {"1m": "streamed"}


@pytest.mark.parametrize(
    ("end", "sessions", "reason"),
    [
        (TUESDAY, 1, "end_date"),
        (WEDNESDAY, 2, "end_date"),
        (THURSDAY, 2, "no_more_data"),
        ("2024-01-31", 2, "no_more_data"),
    ],
)
def test_a_run_ends_for_one_reason(tmp_path: Path, end: str, sessions: int, reason: str):
    where = store(tmp_path, bars("A", [1.0]), bars("A", [1.0], day=WEDNESDAY))
    run = play(where, Script(), end=end)
    assert (run.finish_reason, run.stop_reason, run.summary["sessions"]) == (reason, None, sessions)


def test_every_phase_is_timed(tmp_path: Path):
    run = play(store(tmp_path, bars("A", [1.0])), Script(), streams={"intervals": ["5m"]})
    seconds = run.summary["seconds"]
    assert set(PHASES) <= set(seconds)
    assert {"history_load", "indicators", "quality", "load", "features"} <= set(seconds)
    assert all(seconds[p] >= 0 for p in PHASES)


def empty(number: int) -> PreparedSession:
    """A session of two minutes without any bar."""
    opened = number * 1440 * MINUTE
    name = date(2000, 1, 1) + timedelta(days=number)
    nothing = np.zeros(0, dtype=np.int64)
    columns = {c: Column(np.zeros(0)) for c in ("open", "close", "volume")}
    session = Session(name, opened, opened + 2 * MINUTE, ((opened, opened + 2 * MINUTE),), early_close=False, minutes=2)
    return PreparedSession(session, PreparedBars(nothing, nothing, nothing, columns), {})


class Windows:
    """A source of windows of three empty sessions."""

    def __init__(self, sessions: int) -> None:
        self.sessions = sessions
        self.history_seconds = {"history_load": 1.0}
        self.calls: list[str] = []
        self.closed = False

    def start(self) -> None:
        self.calls.append("start")

    def windows(self) -> Generator[PreparedWindow, None, None]:
        try:
            for first in range(0, self.sessions, 3):
                self.calls.append("window")
                some = [empty(i) for i in range(first, min(first + 3, self.sessions))]
                frames = [pl.DataFrame()] * len(some)
                yield PreparedWindow(some, frames, frames, {}, {}, {"load": 0.5})
        finally:
            self.closed = True


class Notes:
    """A recorder that counts."""

    def __init__(self) -> None:
        self.outcomes: list[SessionOutcome] = []
        self.depth = 0

    @property
    def totals(self) -> Any:
        return SimpleNamespace(sessions=len(self.outcomes), bars=0)

    def session(self, outcome: SessionOutcome, quality: Any, guards: Any, failed: Any) -> None:
        self.outcomes.append(outcome)
        self.depth = max(self.depth, depth())


def depth() -> int:
    """How many frames the call stack has."""
    frame, n = sys._getframe(), 0
    while frame is not None:
        frame, n = frame.f_back, n + 1
    return n


def coordinator(sessions: int, total: int | None = None, **more: Any) -> tuple[SessionCoordinator, Windows, Notes]:
    source, notes = Windows(sessions), Notes()
    engine = Engine(Market(("A",)), [], ZoneInfo("UTC"), pace=Pace(0), isolate=False)
    agenda = Agenda(first=0, total=sessions if total is None else total, complete=True, at_end="mark")
    made = SessionCoordinator("backtest", ["5m"], source=source, engine=engine, recorder=notes, agenda=agenda, **more)
    return made, source, notes


def test_thousands_of_empty_sessions_are_skipped_by_iteration():
    made, source, notes = coordinator(3000)
    assert made.run() == "end_date"
    assert len(notes.outcomes) == 3000
    assert notes.depth < depth() + 20
    assert source.calls == ["start", *["window"] * 1000]
    assert made.markings == {"1m": "streamed", "5m": "generated"}
    assert made.timings.parts == {"history_load": 1.0, "load": 500.0}


def test_a_source_that_runs_dry_ends_the_run():
    made, _, notes = coordinator(4, total=10)
    assert made.run() == "end_date"
    assert [o.session.name.day for o in notes.outcomes] == [1, 2, 3, 4]


def test_an_interrupt_ends_the_run_after_its_session():
    seen: list[tuple[int, int, int]] = []

    def progress(*figures: int) -> None:
        seen.append(figures)
        if len(seen) == 2:
            made._engine.pace.stop.set()

    made, _, notes = coordinator(9, progress=progress)
    assert made.run() == "stopped"
    assert made.stop_reason == "interrupted"
    assert seen == [(1, 9, 0), (2, 9, 0)]
    assert len(notes.outcomes) == 2


def test_whatever_ends_a_run_nothing_more_is_read_then(monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    made, source, notes = coordinator(9)
    monkeypatch.setattr(notes, "session", full)
    with pytest.raises(OSError, match="no space left") as caught:
        made.run()
    assert source.closed
    assert caught.tb is not None  # it holds the run's frames, and with them the windows
