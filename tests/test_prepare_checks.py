"""What must hold before anything is replayed, and what drops a symbol."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from small import THURSDAY, TUESDAY, WEDNESDAY, Bar, Price, Script, bars, play, store

import bt
from bt.errors import DataError, FeatureError

CLOSE = pl.col("close")
WALK: list[Price] = [10 + (7 * i % 13) / 10 for i in range(60)]


class Featured(bt.Row):
    symbol: str
    minute: int
    f: float | None


class Watch:
    """Shows one feature."""

    row = Featured

    def __init__(self, feature: bt.Feature) -> None:
        self.feature = feature
        self.seen: list[tuple[str, int]] = []

    def features(self) -> dict[str, bt.Feature]:
        return {"f": self.feature}

    def on_bar(self, row: Featured, book: bt.Book) -> None:
        self.seen.append((row.symbol, row.minute))


@pytest.fixture
def where(tmp_path: Path) -> Path:
    days = [bars(s, WALK, day=d) for s in "AB" for d in (TUESDAY, WEDNESDAY, THURSDAY)]
    return store(tmp_path, *days)


@pytest.mark.parametrize(
    "expr",
    [
        CLOSE.shift(-1),
        CLOSE.reverse(),
        CLOSE - CLOSE.mean(),
        CLOSE / CLOSE.last(),
        CLOSE.rank(),
        CLOSE.rolling_mean(3, center=True),
        CLOSE.sum(),
    ],
)
def test_a_feature_that_peeks_is_named(where: Path, expr: pl.Expr):
    with pytest.raises(FeatureError, match="must not depend on later bars") as caught:
        play(where, Watch(bt.feature(expr, 5, within="session")))
    assert str(expr) in str(caught.value)


@pytest.mark.parametrize(
    ("expr", "lookback"),
    [
        (CLOSE.rolling_mean(20), 5),
        (CLOSE.ewm_mean(span=20), 20),
        (CLOSE.cum_sum(), 10),
        (CLOSE.rolling_sum(100, min_samples=1), "1d"),
    ],
)
def test_a_lookback_that_is_too_short_is_named(where: Path, expr: pl.Expr, lookback: int | str):
    with pytest.raises(FeatureError, match=f"lookback must cover what it reads, was {lookback}") as caught:
        play(where, Watch(bt.feature(expr, lookback)), THURSDAY)
    assert str(expr) in str(caught.value)


@pytest.mark.parametrize(
    ("expr", "lookback"),
    [(CLOSE.rolling_mean(20), 5), (CLOSE.ewm_mean(span=20), 10), (CLOSE.rolling_sum(100, min_samples=1), 3)],
)
@pytest.mark.parametrize("interval", ["1m", "2m"])
def test_a_lookback_is_judged_where_nothing_is_before_the_first_session(
    where: Path, expr: pl.Expr, lookback: int, interval: str
):
    with pytest.raises(FeatureError, match=f"lookback must cover what it reads, was {lookback}"):
        play(where, Watch(bt.feature(expr, lookback, interval=interval)), TUESDAY)


@pytest.mark.parametrize("day", [TUESDAY, THURSDAY])
@pytest.mark.parametrize(
    "expr", [CLOSE.rolling_mean(10), CLOSE.shift(1), CLOSE / CLOSE.shift(3) - 1, CLOSE.rolling_max(5, min_samples=1)]
)
def test_a_window_without_a_lookback_is_named(where: Path, expr: pl.Expr, day: str):
    with pytest.raises(FeatureError, match=r'was 0; .*: declare a lookback, or within="session"') as caught:
        play(where, Watch(bt.feature(expr, 0)), day)
    assert str(expr) in str(caught.value)


@pytest.mark.parametrize("day", [TUESDAY, THURSDAY])
@pytest.mark.parametrize(
    "feature",
    [
        *(
            bt.feature(e, 0)
            for e in (
                CLOSE * 2,
                CLOSE.cum_sum(),
                CLOSE.cum_max(),
                CLOSE.cum_min(),
                CLOSE / CLOSE.first(),
                CLOSE.cum_count(),
            )
        ),
        bt.feature((CLOSE * pl.col("volume")).cum_sum() / pl.col("volume").cum_sum(), 0),
        bt.feature(CLOSE.rolling_mean(10), 0, within="session"),
    ],
)
def test_the_session_so_far_needs_no_lookback(where: Path, feature: bt.Feature, day: str):
    watch = Watch(feature)
    play(where, watch, day)
    assert len(watch.seen) == 120


def test_a_count_of_what_is_seldom_is_of_the_session_so_far(tmp_path: Path):
    """Nothing counts in the first quarter of the session, which stands for what is far back, as long as it is what it was."""
    line = bars("AAA", [10.0] * 40, volume=10)
    for minute in (12, 30):
        line[minute]["volume"] = 1000
    watch = Watch(bt.feature((pl.col("volume") > 500).cum_sum(), 0))
    play(store(tmp_path, line), watch, TUESDAY)
    assert len(watch.seen) == 40


@pytest.mark.parametrize(
    "feature",
    [
        bt.feature(CLOSE.rolling_mean(20), 19),
        bt.feature(CLOSE.rolling_sum(100, min_samples=1), 99),
        bt.feature(CLOSE.cum_sum(), 5, within="session"),
        bt.feature(CLOSE.cum_sum(), 0),
        bt.feature(CLOSE.shift(60), 60),
        bt.feature(CLOSE.rolling_mean(10), "1d"),
    ],
)
def test_a_lookback_that_is_long_enough_passes_in_the_first_session_of_the_data(where: Path, feature: bt.Feature):
    watch = Watch(feature)
    play(where, watch, TUESDAY)
    assert len(watch.seen) == 120


def test_symbols_of_one_bar_in_the_first_session_of_the_data(tmp_path: Path):
    where = store(tmp_path, bars("A", WALK[:1]), bars("B", WALK[:2]), bars("C", WALK, day=WEDNESDAY))
    watch = Watch(bt.feature(CLOSE.rolling_mean(5), 4))
    play(where, watch, TUESDAY, WEDNESDAY)
    assert len(watch.seen) == 63


def test_a_recursive_feature_with_a_long_lookback_passes(where: Path):
    watch = Watch(bt.feature(CLOSE.ewm_mean(span=3), 60))
    play(where, watch, THURSDAY)
    assert len(watch.seen) == 120


@pytest.mark.parametrize("days", [1, 2])
def test_the_first_session_with_a_bar_is_checked_however_the_run_is_cut(tmp_path: Path, days: int):
    where = store(tmp_path, bars("A", WALK, day=WEDNESDAY))
    with pytest.raises(FeatureError, match="must not depend on later bars"):
        play(where, Watch(bt.feature(CLOSE.shift(-1), 2)), end=WEDNESDAY, prefetch_days=days)


def test_features_of_coarser_bars_are_checked_too(where: Path):
    with pytest.raises(FeatureError, match="must not depend on later bars"):
        play(where, Watch(bt.feature(CLOSE.shift(-1), 2, interval="5m")))


def fails_on(symbol_price: float):
    """An expression that raises where a close is above a price."""

    def judge(closes: pl.Series) -> pl.Series:
        if (closes > symbol_price).any():
            raise ValueError("too dear")
        return closes

    return CLOSE.map_batches(judge, return_dtype=pl.Float64)


def test_preparation_that_raises_drops_the_symbol_for_the_session(tmp_path: Path):
    where = store(
        tmp_path,
        bars("A", [10.0, 10.0]), bars("B", [10.0, 99.0]), bars("A", [10.0], day=WEDNESDAY), bars("B", [10.0], day=WEDNESDAY),
    )  # fmt: skip
    watch = Watch(bt.feature(fails_on(50.0), 0))
    run = play(where, watch, end=WEDNESDAY)
    assert watch.seen == [("A", 0), ("A", 1), ("A", 0), ("B", 0)]
    assert list(run.summary["failed"]) == ["B"]
    assert "2024-01-02" in run.summary["failed"]["B"]
    assert "too dear" in run.summary["failed"]["B"]


def test_on_data_error_raise_turns_failed_preparation_into_an_error(tmp_path: Path):
    where = store(tmp_path, bars("A", [10.0, 10.0]), bars("B", [10.0, 99.0]))
    with pytest.raises(Exception, match="too dear"):
        play(where, Watch(bt.feature(fails_on(50.0), 0)), run={"on_data_error": "raise"})


def test_on_data_error_raise_names_the_first_row_fault(tmp_path: Path):
    sound, bad = bars("A", [10.0, 11.0, 12.0]), bars("B", [10.0, 11.0])
    bad[1]["high"] = 1.0
    where = store(tmp_path, sound, bad)
    assert play(where, Script()).summary["guards"] == {"inconsistent": 1}
    with pytest.raises(DataError, match="B at 2024-01-02 14:31:00 UTC is inconsistent"):
        play(where, Script(), run={"on_data_error": "raise"})


def test_rows_outside_the_segments_are_no_fault(tmp_path: Path):
    where = store(tmp_path, bars("A", [10.0, 11.0]), bars("A", [12.0], first=500))
    run = play(where, Script(), run={"on_data_error": "raise"})
    assert run.summary["guards"] == {"after_close": 1}


def test_end_stamped_bars_declared_as_start_are_refused(tmp_path: Path):
    prices: list[Price] = [10.0] * 390
    where = store(tmp_path, *(bars(s, prices, day=d, first=1) for s in "AB" for d in (TUESDAY, WEDNESDAY)))
    with pytest.raises(DataError, match=r'timestamps must be the start of the minute.*set data.stamp = "end"'):
        play(where, Script(), end=WEDNESDAY)
    script = Script()
    play(where, script, end=WEDNESDAY, stamp="end")
    shown = [h for h in script.happened if h[0] == "bar"]
    assert len(shown) == 4 * 390
    assert shown[0] == ("bar", "A", 0)


def test_start_stamped_bars_with_closing_prints_are_not_refused(tmp_path: Path):
    where = store(tmp_path, bars("A", [10.0] * 391))
    run = play(where, Script())
    assert run.summary["guards"] == {"closing_print": 1}


def test_a_feature_may_be_shown_by_a_row_type_that_needs_it(where: Path):
    """Without ``| None`` rows are withheld while the field warms up, counted by their field."""

    class Needs(Bar):
        f: float

    class Needing(Watch):
        row = Needs

    watch = Needing(bt.sma("close", 3))
    run = play(where, watch)
    assert watch.seen[:2] == [("A", 2), ("B", 2)]
    assert run.summary["guards"] == {"warming_up: f": 4}
