"""book.bars: what a strategy may look back to, by hand and against the oracle."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import oracle as o
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge import assert_same_seen
from small import THURSDAY, TUESDAY, WEDNESDAY, at, bars, play, store
from test_laws import Close, law
from watchers import judged, replayed
from worlds import World, stored, worlds

import bt
from bt.errors import StrategyError, StrategyRaised

DAYS = (TUESDAY, WEDNESDAY, THURSDAY)


def market(folder: Path) -> Path:
    rows = [bars("AAA", [10.0 + 10 * d, 11.0 + 10 * d, 12.0 + 10 * d], day=day) for d, day in enumerate(DAYS)]
    return store(folder, *rows, bars("BBB", [5.0], day=WEDNESDAY))


class Asks:
    row = Close
    history: Any = {"1m": 4}  # noqa: RUF012

    def __init__(self, n: int = 4, interval: str = "1m", symbol: str = "AAA") -> None:
        self.asked = symbol, n, interval
        self.got: list[Any] = []

    def on_bar(self, row: Any, book: bt.Book) -> None:
        past = book.bars(*self.asked)
        assert not past.close.flags.writeable
        assert past.close.base is None
        self.got.append((book.now, past.close.tolist(), past.close_time.tolist()))


def test_across_sessions_and_never_ahead(tmp_path: Path) -> None:
    strategy = Asks()
    run = play(market(tmp_path), strategy, WEDNESDAY)
    aaa = [g[1] for g in strategy.got]
    assert aaa == [[10, 11, 12, 20], [10, 11, 12, 20], [11, 12, 20, 21], [12, 20, 21, 22]]
    assert strategy.got[-1][2][-1] == o.micros(at(3, WEDNESDAY))
    assert run.summary["history_short"] == {"1m": {"AAA": WEDNESDAY, "BBB": None}}
    assert "short history" in repr(run)


def test_sessions_and_coarser_bars(tmp_path: Path) -> None:
    daily = Asks(9, "1d")
    daily.history = {"1d": "1d"}
    play(market(tmp_path), daily, THURSDAY)
    assert {tuple(g[1]) for g in daily.got} == {(22.0,)}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ((5, "1m"), 'at most the 4 declared, was 5; write history = {"1m": 5}'),
        ((2, "5m"), 'bars of \'5m\' must be declared, were not; write history = {"1m": 4, "5m": 2}'),
        ((0, "1m"), "whole number >= 1, was 0"),
    ],
)
def test_what_is_not_declared(tmp_path: Path, asked: Any, told: str) -> None:
    with pytest.raises(StrategyRaised) as error:
        play(market(tmp_path), Asks(*asked))
    assert told in str(error.value)


@pytest.mark.parametrize("history", [200, {"1m": 0}, {"1m": "20"}, {"soon": 3}, {"60m": 3, "1h": 4}])
def test_a_history_that_is_none(tmp_path: Path, history: Any) -> None:
    strategy = Asks()
    strategy.history = history
    with pytest.raises(StrategyError, match="history"):
        play(market(tmp_path), strategy)


class Looker:
    """Looks back at random at its rows, its fills and the session's start, and notes what it sees."""

    row = (Close,)

    def __init__(self, seed: int, history: dict[str, Any], symbols: list[str]) -> None:
        self.seed, self.history, self.symbols = seed, history, symbols
        self.seen: list[Any] = []

    def on_session_start(self, session: Any, book: Any) -> None:
        self._look("start", book)

    def on_bar(self, row: Any, book: Any) -> None:
        dice = self._look(row.symbol, book)
        if dice.random() < 0.1:
            book.order(row.symbol, 1)

    def on_fill(self, fill: Any, book: Any) -> None:
        self._look("fill", book)

    def _look(self, what: str, book: Any) -> random.Random:
        dice = random.Random(repr((self.seed, what, str(book.now))))
        if dice.random() < 0.4:
            interval, symbol = dice.choice(sorted(self.history)), dice.choice(self.symbols)
            depth = self.history[interval]
            n = dice.randint(1, depth if isinstance(depth, int) else 400)
            try:
                found = book.bars(symbol, n, interval)
            except (StrategyError, ValueError):
                self.seen.append((book.now, book.session, what, symbol, interval, n, "refused"))
                return dice
            if isinstance(found, bt.PastBars):
                columns = (
                    found.open_time,
                    found.close_time,
                    found.open,
                    found.high,
                    found.low,
                    found.close,
                    found.volume,
                )
                rows = list(zip(*(c.tolist() for c in columns), strict=True))
            else:
                rows = [(b.time_us, b.end_us, b.open, b.high, b.low, b.close, b.volume) for b in found]
            self.seen.append((book.now, book.session, what, symbol, interval, n, rows))
        return dice


depths = st.dictionaries(
    st.sampled_from(("1m", "5m", "15m", "1h", "1d")),
    st.integers(1, 60) | st.sampled_from(("1d", "2d", "5d")),
    min_size=1,
    max_size=3,
)


@law(25)
@given(worlds(), st.integers(0, 1000), depths, st.sampled_from((1, 2, 5)))
def test_bars_as_in_the_oracle(world: World, seed: int, history: dict[str, Any], days: int) -> None:
    ours, theirs = (Looker(seed, history, world.symbols) for _ in range(2))
    with stored(world) as folder:
        replayed(world, folder, ours, prefetch_days=days)
    judged(world, o.Strategy("s", theirs, [o.RowType.of(Close)]))
    assert_same_seen(ours.seen, theirs.seen, 0.0 if world.whole_volume else 1e-12)


FRIDAY, MONDAY = "2024-01-05", "2024-01-08"


def changing(folder: Path) -> Path:
    """A and B lead in turn by volume: who is a member is never both."""
    rows = []
    for d, day in enumerate((*DAYS, FRIDAY, MONDAY)):
        for symbol, volume in (("A", 100 + 900 * (d % 3 == 0)), ("B", 500)):
            rows.append(bars(symbol, [10.0, 11.0], day=day, volume=volume))
    return store(folder, *rows)


@pytest.mark.parametrize("days", [1, 2, 5])
def test_short_history_is_told_of_members_however_the_work_is_cut(tmp_path: Path, days: int) -> None:
    """A leads on the first day and is whole on the fourth, when it is a member again; B comes later and is not judged."""
    strategy = Asks()
    strategy.asked = "A", 1, "1m"
    strategy.history = {"1m": 5}
    strategy.on_bar = lambda row, book: None  # type: ignore[assignment,method-assign]
    universe = {"top": 1, "by": "prior(volume)"}
    run = play(changing(tmp_path), strategy, WEDNESDAY, MONDAY, universe=universe, prefetch_days=days)
    told = dict(zip(*(run.universe[c].cast(str).to_list() for c in ("session", "symbol")), strict=True))
    assert told == {WEDNESDAY: "A", THURSDAY: "B", FRIDAY: "B", MONDAY: "A"}
    assert run.summary["history_short"] == {"1m": {"A": MONDAY}}


@pytest.mark.parametrize("days", [1, 5])
def test_what_was_prepared_and_not_played_is_not_told(tmp_path: Path, days: int) -> None:
    class Stops(Asks):
        history: Any = {"1m": 7}  # noqa: RUF012

        def on_bar(self, row: Any, book: bt.Book) -> None:
            book.stop("enough")

    run = play(market(tmp_path), Stops(), WEDNESDAY, THURSDAY, prefetch_days=days)
    assert run.summary["history_short"] == {"1m": {"AAA": None, "BBB": None}}
