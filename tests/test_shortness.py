"""features_short: whose history was short for a field when the run began, and since when it is all there."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any

import oracle as o
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import THURSDAY, TUESDAY, WEDNESDAY, bars, play, store
from test_history import FRIDAY, MONDAY, changing
from test_laws import law
from watchers import replayed
from worlds import World, stored, worlds

import bt
from bt.run import summary_lines


class Shown(bt.Row):
    symbol: str
    fast: float | None
    other: float | None
    slow: float | None
    expression: float


class Shows:
    """Shows a field over bars, one of another symbol, one of past sessions, and an expression over whole sessions."""

    row = Shown

    def __init__(self, depths: tuple[int, int, int, int], interval: str, symbol: str) -> None:
        fast, other, slow, expression = depths
        self.fast = bt.sma("close", fast + 1, interval=interval)
        self.other = bt.of(symbol, bt.lag("close", other))
        self.slow = bt.trailing("avg", "close", f"{slow}d")
        self.expression = bt.feature(pl.col("close"), lookback=f"{expression}d")

    def features(self) -> dict[str, Any]:
        names = ("fast", "other", "slow", "expression")
        return {name: getattr(self, name) for name in names}

    def on_bar(self, row: Shown, book: bt.Book) -> None:
        pass


def expected(
    world: World, depths: tuple[int, int, int, int], interval: str, other: str, played: list[date]
) -> dict[str, Any]:
    """By counting bars and sessions, one symbol after another."""
    history, names = o.History(world.days, world.classified().accepted), world.schedule.names
    begins = {s: min(r.time_us for r in world.rows if r.symbol == s) for s in world.symbols}

    def bars_lack(symbol: str, every: str, n: int, before: date) -> bool:
        return sum(day < before for day, _ in history.series(symbol, every)) < n

    def sessions_lack(symbol: str, n: int, at: int) -> bool:
        return begins[symbol] >= int(world.schedule.close[at - n])

    def told(symbol: str, every: str, *, bars: int = 0, sessions: int = 0) -> Any:
        short = {}
        for at in range(world.start, world.start + len(played)):
            late = bool(sessions) and sessions_lack(symbol, sessions, at)
            if at == world.start and not (late or bars_lack(symbol, every, bars, names[at])):
                return short
            if not late and not bars_lack(symbol, every, bars, names[at + 1]):
                return {symbol: names[at].isoformat()}
        return {symbol: None}

    fast, lag, slow, expression = depths
    made = {
        "fast": [told(s, interval, bars=fast) for s in world.symbols],
        "other": [told(other, "1m", bars=lag)],
        "slow": [told(s, "1m", sessions=slow) for s in world.symbols],
        "expression": [told(s, "1m", sessions=expression) for s in world.symbols],
    }
    merged = {name: {k: v for one in some for k, v in one.items()} for name, some in made.items()}
    return {name: short for name, short in merged.items() if short}


@law(25)
@given(worlds(), st.integers(0, 1000), st.sampled_from((1, 2, 5)))
def test_what_was_short_is_what_counting_says(world: World, seed: int, days: int) -> None:
    dice = random.Random(seed)
    depths = dice.randint(1, 80), dice.randint(1, 80), dice.randint(1, 4), dice.randint(1, 4)
    interval, other = dice.choice(("1m", "5m", "1h")), dice.choice(world.symbols)
    with stored(world) as folder:
        run = replayed(world, folder, Shows(depths, interval, other), prefetch_days=days)
    played = run.by_session["session"].to_list()
    assert run.summary["features_short"] == expected(world, depths, interval, other, played)


class Close(bt.Row):
    symbol: str
    mean: float | None


class Quiet:
    row = Close

    def __init__(self, mean: Any) -> None:
        self.mean = mean

    def features(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def on_bar(self, row: Close, book: bt.Book) -> None:
        pass


@pytest.mark.parametrize("days", [1, 2, 5])
def test_with_a_universe_members_are_told_of(tmp_path: Path, days: int) -> None:
    """A is a member first and last, B between: B was none at the start, and A is judged again when it is one."""
    strategy, universe = Quiet(bt.sma("close", 6)), {"top": 1, "by": "prior(volume)"}
    run = play(changing(tmp_path), strategy, WEDNESDAY, MONDAY, universe=universe, prefetch_days=days)
    assert run.universe["symbol"].to_list() == ["A", "B", "B", "A"]
    assert run.summary["features_short"] == {"mean": {"A": MONDAY}}
    deeper = Quiet(bt.sma("close", 12))
    run = play(changing(tmp_path), deeper, WEDNESDAY, MONDAY, universe=universe, prefetch_days=days)
    assert run.summary["features_short"] == {"mean": {"A": None}}


def three_days(folder: Path) -> Path:
    return store(
        folder,
        *(bars("AAA", [10.0, 11.0, 12.0], day=day) for day in (TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)),
        *(bars("BBB", [5.0], day=day) for day in (THURSDAY, FRIDAY)),
    )


def test_it_is_read_in_the_summary(tmp_path: Path) -> None:
    run = play(three_days(tmp_path), Quiet(bt.cross_rank(bt.sma("close", 5))), WEDNESDAY, FRIDAY)
    assert run.summary["features_short"] == {"mean": {"AAA": WEDNESDAY, "BBB": None}}
    assert "short history  of mean at the start for 2 symbols: AAA first known on 2024-01-03; BBB never known" in repr(
        run
    )
    late = dict.fromkeys("ABCDE", WEDNESDAY) | {"F": THURSDAY, "G": THURSDAY}
    many = {**run.summary, "features_short": {"mean": late, "far": dict.fromkeys("ABCDEF")}}
    lines = [text for name, text in summary_lines(many) if name == "short history"]
    assert lines == [
        "of mean at the start for 7 symbols: 5 first known on 2024-01-03; F, G first known on 2024-01-04",
        "of far at the start for 6 symbols: 6 never known",
    ]
    whole = play(three_days(tmp_path), Quiet(bt.sma("close", 5)), FRIDAY, symbols=["AAA"])
    assert whole.summary["features_short"] == {}
    assert "short history" not in repr(whole)


def test_the_session_alone_is_never_short(tmp_path: Path) -> None:
    run = play(three_days(tmp_path), Quiet(bt.sma("close", 5, within="session")), TUESDAY)
    assert run.summary["features_short"] == {}


def test_two_strategies_with_one_name(tmp_path: Path) -> None:
    """A symbol is told as soon as one of them lacks something, and whole when none does."""
    both = [{"name": name, "use": Quiet(bt.sma("close", n))} for name, n in (("one", 2), ("two", 6))]
    run = bt.replay(
        bars=three_days(tmp_path), calendar="XNYS", strategies=both, start=TUESDAY, end=THURSDAY, save=False
    )
    assert run.summary["features_short"] == {"mean": {"AAA": WEDNESDAY, "BBB": None}}


def test_what_was_prepared_and_not_played_is_not_told(tmp_path: Path) -> None:
    class Stops(Quiet):
        def on_bar(self, row: Close, book: bt.Book) -> None:
            book.stop("enough")

    run = play(three_days(tmp_path), Stops(bt.sma("close", 5)), TUESDAY, FRIDAY)
    assert run.summary["features_short"]["mean"]["AAA"] is None


def test_a_history_of_more_sessions_than_there_are_is_short(tmp_path: Path) -> None:
    strategy: Any = Quiet(bt.sma("close", 1))
    strategy.history = {"1m": "3d"}
    run = play(three_days(tmp_path), strategy, WEDNESDAY, FRIDAY)
    assert run.summary["history_short"] == {"1m": {"AAA": FRIDAY, "BBB": None}}
