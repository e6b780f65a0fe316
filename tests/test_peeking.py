"""What reads later bars is refused, however seldom it says anything; what does not is accepted."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import THURSDAY, TUESDAY, WEDNESDAY, bars, play, store
from test_laws import law
from worlds import World, stored, worlds

import bt
from bt.errors import FeatureError
from bt.features import borders
from bt.prepare.peeking import CUTS, spread

close, minute = pl.col("close"), pl.col("minute")
following, rises = close.shift(-1), close.shift(-1) > close
LONG = [10 + (7 * i % 13) / 10 for i in range(60)]
LEVEL = pl.when(rises).then(100).otherwise(0)


class Says:
    """Signals and features that are given."""

    def __init__(self, signals: dict[str, Any], **features: bt.Feature) -> None:
        self.given, self.named = signals, features

    def features(self) -> dict[str, bt.Feature]:
        return self.named

    def signals(self) -> dict[str, Any]:
        return self.given


class Shown(bt.Row):
    f: float | None


class Watch:
    """Writes down a feature's values."""

    row = Shown

    def __init__(self, feature: bt.Feature) -> None:
        self.feature = feature
        self.seen: list[float] = []

    def features(self) -> dict[str, bt.Feature]:
        return {"f": self.feature}

    def on_bar(self, row: Shown, book: bt.Book) -> None:
        if row.f is not None:
            self.seen.append(row.f)


def accepted(world: World, strategy: Any) -> bt.Run | None:
    """The world replayed; None where the strategy is refused because it peeks."""
    with stored(world) as folder:
        try:
            return bt.replay(bars=folder, calendar=world.calendar, strategy=strategy, save=False, **world.span)
        except FeatureError:
            return None


# ------------------------------------------------------------------------------------------------------------------- laws

MASKS = {
    "always": pl.lit(value=True),
    "a minute": minute == 3,
    "some minutes": minute % 50 == 7,
    "what rose": close > close.shift(1),
    "one symbol": pl.col("symbol") == "BBB",
    "later": minute > 100,
}
PEEKS = {
    "next": rises,
    "next, a null rises": rises.fill_null(value=True),
    "next, not lower": ~(following <= close),
    "next, a branch": pl.when(following < close).then(statement=False).otherwise(statement=True),
    "last": close.last() > close,
    "change": close.pct_change(-1) < 0,
    "volume": pl.col("volume").shift(-1) > pl.col("volume"),
}


@law(60)
@given(world=worlds(), mask=st.sampled_from(tuple(MASKS)), peek=st.sampled_from(tuple(PEEKS)), level=st.booleans())
def test_signals_that_read_the_next_bar_are_refused_or_never_trade(world: World, mask: str, peek: str, level: bool):
    when, reads = MASKS[mask], PEEKS[peek]
    given_ = (
        {"target": pl.when(when).then(pl.when(reads).then(100).otherwise(0))}
        if level
        else {"entry": when & reads, "exit": minute % 20 == 19, "shares": 100}
    )
    run = accepted(world, Says(given_))
    assert run is None or run.fills.is_empty()


@law(40)
@given(world=worlds(), interval=st.sampled_from(("1m", "5m", "1h", "1d")), within=st.sampled_from((None, "session")))
def test_features_that_read_the_next_bar_are_refused_or_never_known(world: World, interval: str, within: Any):
    watch = Watch(bt.feature(following, 2, interval=interval, within=within))
    assert accepted(world, watch) is None or not watch.seen


@given(
    seed=st.integers(0, 2**32 - 1), symbols=st.integers(1, 50), minutes=st.integers(1, 400), part=st.floats(0.001, 1.0)
)
def test_rows_are_chosen_of_as_many_minutes_as_may_be(seed: int, symbols: int, minutes: int, part: float):
    rng = np.random.default_rng(seed)
    end = np.tile(np.arange(1, minutes + 1), symbols)
    at = np.flatnonzero(rng.random(len(end)) < part)
    if not len(at):
        return
    chosen = spread(at, end)
    assert set(chosen.tolist()) <= set(at.tolist())
    assert len(borders(chosen)) == len(chosen) <= CUTS
    assert (np.diff(chosen) > 0).all()
    assert len(set(end[chosen].tolist())) == min(CUTS, len(set(end[at].tolist())))


def test_symbols_take_turns():
    symbols, minutes = 50, 390
    end = np.tile(np.arange(1, minutes + 1), symbols)
    once = np.flatnonzero(end == 31)
    assert len(spread(once, end)) == CUTS
    everywhere = spread(np.arange(len(end)), end)
    assert len(set((everywhere // minutes).tolist())) == CUTS


# ------------------------------------------------------------------------------------------------------------------ by hand


@pytest.mark.parametrize(
    "given",
    [
        {"entry": (minute == 30) & rises, "exit": minute == 31, "shares": 100},
        {"entry": (minute == 30) & rises.fill_null(value=True), "exit": minute == 31, "shares": 100},
        {"entry": minute == 30, "exit": minute == 31, "shares": pl.when(rises).then(200).otherwise(100)},
        {"entry": minute == 30, "exit": (minute == 40) & rises, "shares": 100},
        {"entry": minute == 30, "shares": 100, "stop_loss": close.min() - 1},
        {"target": pl.when(minute == 5).then(pl.when(close.last() > close).then(100).otherwise(0))},
        {"target_percent": pl.when(minute == 5).then(pl.when(close.last() > close).then(0.1).otherwise(0.0))},
        {"target": pl.when(minute == 5).then(pl.when((close.shift(-1) - close) > 0).then(100).otherwise(0))},
        {"target": pl.when(minute == 5).then(pl.when(pl.col("change").shift(-1) > 0).then(100).otherwise(0))},
        {"target": pl.when(minute == 5).then(pl.when(pl.col("volume").last() > 900).then(100).otherwise(0))},
    ],
)
@pytest.mark.parametrize("symbol", ["ASHB", "DUNE"])
def test_one_decision_a_day_is_enough(given: dict[str, Any], symbol: str):
    strategy = Says(given, change=bt.ret("close", 1))
    with pytest.raises(FeatureError, match="must not depend on later bars, but it peeks"):
        bt.replay(
            bars="data/sample", calendar="XNYS", symbols=[symbol], strategy=strategy, save=False, start="2024-11-04", end="2024-12-06"
        )  # fmt: skip


FEW = [bars(s, LONG[:1], day=TUESDAY) for s in "AB"]
MORE = [bars(s, LONG, day=d) for s in "AB" for d in (WEDNESDAY, THURSDAY)]


@pytest.mark.parametrize("days", [1, 3])
@pytest.mark.parametrize(
    "strategy",
    [
        Says({"target": LEVEL}),
        Watch(bt.feature(following, 1)),
        Watch(bt.feature(following, 1, interval="2m")),
        Watch(bt.feature(close.rolling_mean(20).shift(-1), 30)),
        Watch(bt.feature(close.reverse(), 0, within="session")),
    ],
)
def test_a_session_in_which_nothing_can_be_cut_shows_nothing(tmp_path: Path, strategy: Any, days: int):
    where = store(tmp_path, *FEW, *MORE)
    with pytest.raises(FeatureError, match="must not depend on later bars"):
        play(where, strategy, TUESDAY, THURSDAY, prefetch_days=days)


@pytest.mark.parametrize("days", [1, 3])
def test_a_lookback_is_judged_once_bars_tell(tmp_path: Path, days: int):
    where = store(tmp_path, *FEW, *MORE)
    with pytest.raises(FeatureError, match="lookback must cover what it reads, was 5"):
        play(where, Watch(bt.feature(close.rolling_mean(20), 5)), TUESDAY, THURSDAY, prefetch_days=days)


@pytest.mark.parametrize("symbols", ["A", "AB"])
@pytest.mark.parametrize("key", ["target", "entry"])
def test_a_signal_is_checked_when_it_first_decides(tmp_path: Path, symbols: str, key: str):
    days = [date(2024, 1, d).isoformat() for d in (2, 3, 4, 5, 8, 9, 10, 11, 12)]
    where = store(tmp_path, *(bars(s, LONG, day=d) for s in symbols for d in days))
    late = pl.col("session") == date(2024, 1, 11)
    given_ = {"target": pl.when(late).then(LEVEL)} if key == "target" else {"entry": late & rises, "shares": 100}
    play(where, Says(given_), TUESDAY, "2024-01-10")
    with pytest.raises(FeatureError, match=f"'{key}' must not depend on later bars"):
        play(where, Says(given_), TUESDAY, "2024-01-12")


def test_each_signal_is_checked_when_it_first_decides(tmp_path: Path):
    where = store(tmp_path, *MORE)
    given_ = {
        "entry": minute == 3,
        "exit": (pl.col("session") == date.fromisoformat(THURSDAY)) & (minute > 5) & rises,
        "shares": 100,
    }
    with pytest.raises(FeatureError, match="'exit' must not depend on later bars"):
        play(where, Says(given_), WEDNESDAY, THURSDAY)


def only(*prices: float) -> pl.Expr:
    """The close, by a function that knows some prices alone."""

    def known(closes: pl.Series) -> pl.Series:
        if not closes.is_in(prices).all():
            raise ValueError("unknown price")
        return closes

    return close.map_batches(known, return_dtype=pl.Float64)


def whole_session(closes: pl.Series) -> pl.Series:
    """The closes of a session of 60 bars."""
    if len(closes) != 60:
        raise ValueError("some are missing")
    return closes


HONEST = {
    "what lies between": close.shift(-1).shift(1),
    "backwards twice": close.reverse().shift(-1).reverse(),
    "a number": pl.int_range(pl.len()),
    "so far": close.cum_max() - close.cum_min(),
    "a window": close.rolling_std(5),
    "a mean": close.ewm_mean(span=3),
    "forward": pl.when(minute % 3 == 0).then(close).forward_fill(),
    "Python": close.map_batches(lambda s: s.cum_sum(), return_dtype=pl.Float64),
    "known prices": only(*LONG),
    "changes": pl.col("change").cum_sum(),
    "fills": close.rank().clip(0, 0),
}


@pytest.mark.parametrize("case", HONEST)
def test_what_reads_nothing_ahead_is_accepted(tmp_path: Path, case: str):
    where = store(tmp_path, *MORE)
    given_ = {"target": HONEST[case].round().cast(pl.Int64, strict=False)}
    play(where, Says(given_, change=bt.ret("close", 1)), WEDNESDAY, THURSDAY, prefetch_days=1)


@pytest.mark.parametrize("what", ["signals", "feature"])
def test_what_raises_without_later_bars_is_refused(tmp_path: Path, what: str):
    where = store(tmp_path, *MORE)
    expr = close.map_batches(whole_session, return_dtype=pl.Float64)
    strategy: Any = (
        Says({"target": expr.round()}) if what == "signals" else Watch(bt.feature(expr, 0, within="session"))
    )
    with pytest.raises(FeatureError, match="must do without later bars, but raised .*some are missing"):
        play(where, strategy, WEDNESDAY, THURSDAY)


def test_a_feature_that_knows_its_market_alone_is_accepted(tmp_path: Path):
    watch = Watch(bt.feature(only(*LONG), 0, within="session"))
    play(store(tmp_path, *MORE), watch, WEDNESDAY, THURSDAY)
    assert len(watch.seen) == 240


@pytest.mark.parametrize(
    "given",
    [
        {"target": pl.when(minute == minute.max()).then(100)},
        {"target_percent": pl.when(pl.int_range(pl.len()) == pl.len() - 1 + 0 * close.cast(pl.Int64)).then(0.1)},
        {"entry": (minute == 3) | (minute == minute.max()), "shares": 5},
    ],
)
def test_what_knows_a_symbols_last_bar_is_found(tmp_path: Path, given: dict[str, Any]):
    where = store(tmp_path, bars("AAA", LONG), bars("BBB", LONG[:40]))
    with pytest.raises(FeatureError, match="must not depend on later bars, but it peeks"):
        play(where, Says(given), execution={"time_in_force": "gtc"})
    known = bt.feature(pl.when(pl.int_range(pl.len()) == pl.len() - 1 + 0 * close).then(1.0), 2)
    with pytest.raises(FeatureError, match="must not depend on later bars, but it peeks"):
        play(where, Watch(known))


def test_what_an_entry_is_of_is_looked_at_where_it_first_says_something(tmp_path: Path):
    where = store(tmp_path, *(bars("AAA", LONG, day=day) for day in (TUESDAY, WEDNESDAY)))
    later = pl.col("before").is_not_null()  # not in the first session
    given = {"entry": minute == 3, "exit": minute == 20, "shares": 10, "stop_loss": pl.when(later).then(pl.col("low").min() - 0.01)}  # fmt: skip
    with pytest.raises(FeatureError, match="'stop_loss' must not depend on later bars, but it peeks"):
        play(where, Says(given, before=bt.prior("close")), end=WEDNESDAY)
    honest = given | {"stop_loss": pl.when(later).then(pl.col("low").cum_min() - 0.01)}
    assert play(where, Says(honest, before=bt.prior("close")), end=WEDNESDAY).fills.height > 2


def test_a_decision_at_the_last_bar_alone_is_no_peek(tmp_path: Path):
    where = store(tmp_path, bars("AAA", LONG))
    at_last = pl.when(minute == len(LONG) - 1).then(100)
    run = play(where, Says({"target": at_last}), execution={"fill": "same_close"})
    assert run.fills.height == 1
