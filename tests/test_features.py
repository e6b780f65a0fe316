from __future__ import annotations

import math
import random
import statistics
from pathlib import Path

import polars as pl
import pytest
from small import THURSDAY, TUESDAY, WEDNESDAY, Price, bars, store

import bt
from bt.errors import FeatureError, StrategyError

CLOSE = pl.col("close")


def values(
    where: Path, feature: bt.Feature, *, day: str = TUESDAY, symbol: str = "A", interval: str = "1m"
) -> list[object]:
    """A feature's values on a symbol's rows of one session."""
    frame = bt.load_bars(where, "XNYS", day, day, intervals=[interval], features={"f": feature})[interval]
    return frame.filter(pl.col("symbol") == symbol)["f"].to_list()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bt.feature(1, 2), "expr must be a Polars expression, was int"),
        (lambda: bt.feature(CLOSE, -1), "lookback must be >= 0 bars, was -1"),
        (lambda: bt.feature(CLOSE, True), "lookback must be >= 0 bars, was True"),
        (lambda: bt.feature(CLOSE, "5w"), "lookback must be a number of bars or like \"5d\", was '5w'"),
        (lambda: bt.feature(CLOSE, 1, interval="5"), 'interval must be like "5m", "1h" or "1d", was \'5\''),
        (lambda: bt.feature(CLOSE, 1, within="day"), "within must be None or \"session\", was 'day'"),
        (lambda: bt.feature(pl.col("mid"), 1), "a column must be one of open, high, low, close, volume, was 'mid'"),
        (lambda: bt.sma("price", 5), "a column must be one of open, high, low, close, volume, was 'price'"),
        (lambda: bt.sma("close", 0), "n must be a whole number >= 1, was 0"),
        (lambda: bt.sma("close", 2.5), "n must be a whole number >= 1, was 2.5"),
        (lambda: bt.trailing("mean", "close", "5d"), "aggregate must be one of avg, max, .* was 'mean'"),
        (lambda: bt.trailing("avg", "close", "5h"), "period must be like \"10d\".* was '5h'"),
        (lambda: bt.trailing("avg", "close", "0d"), "period must be like"),
        (lambda: bt.trailing("avg", "close", "5d", at="noon"), 'at must be "session" or "minute", was \'noon\''),
        (lambda: bt.trailing("avg", "close", "5d", min_sessions=0), "min_sessions must be >= 1, was 0"),
        (lambda: bt.trailing("avg", "close**2", "5d"), r"numbers and \+ - \* / only, .*, was 'close\*\*2'"),
        (lambda: bt.trailing("avg", "vwap*2", "5d"), "an expression must use open, high, low, close, volume"),
        (lambda: bt.trailing("avg", "close*", "5d"), "an expression must use .* was 'close\\*'"),
        (lambda: bt.std("close", 1), "std: n must be a whole number >= 2, was 1"),
        (lambda: bt.lag("close", -1), "lag: n must be a whole number >= 0, was -1"),
        (lambda: bt.highest("mid", 5), "highest: a column must be one of open, .* was 'mid'"),
        (lambda: bt.so_far("median", "volume"), "so_far: aggregate must be one of avg, max, .* was 'median'"),
        (lambda: bt.so_far("sum", "volume", interval="x"), "so_far: interval must be like"),
        (lambda: bt.so_far("sum", "max(high)"), "so_far: of must be values of a bar, was max"),
        (lambda: bt.opening_range("range"), "opening_range: a column must be one of .* was 'range'"),
        (lambda: bt.opening_range("high", 0), "opening_range: minutes must be a whole number >= 1, was 0"),
        (lambda: bt.prior("close", 0), "prior: sessions must be a whole number >= 1, was 0"),
        (lambda: bt.prior("max(high) - low"), "prior: an expression must be of minutes or of sessions, was"),
        (lambda: bt.prior("max(high, low)"), "prior: an expression must use .* was 'max"),
        (lambda: bt.prior("highest(high)"), "prior: an expression must use .* wrapped or not in first"),
        (lambda: bt.trailing("avg", "volume", 10), 'period must be like "10d", "52w", "3m" or "1y", was 10'),
        (lambda: bt.trailing("avg", "max(high)", "5d", at="minute"), 'of must be values of a minute for at="minute"'),
        (lambda: bt.ema("close", 0), "ema: n must be a whole number >= 1, was 0"),
        (lambda: bt.rsi("volume"), "rsi: column must be one of open, high, low, close, was 'volume'"),
    ],
)
def test_what_is_no_feature_is_named(make, message):
    with pytest.raises(StrategyError, match=message):
        make()


def test_equal_features_are_one_column():
    assert bt.sma("close", 5).key == bt.sma("close", 5).key
    assert bt.sma("close", 5).key != bt.sma("open", 5).key
    assert bt.sma("close", 5).key != bt.sma("close", 5, within="session").key
    assert bt.feature(CLOSE.shift(1), 1).key == bt.feature(CLOSE.shift(1), 1).key
    assert bt.feature(CLOSE.shift(1), 1).key != bt.feature(CLOSE.shift(2), 2).key
    assert bt.trailing("avg", "close*volume", "5d").key == bt.trailing("avg", "close * volume", "5d").key


def test_an_sma_decides_as_arithmetic_on_paper(tmp_path: Path):
    """(0.1 + 0.2 + 0.3) / 3 is 0.2, although the floats' sum is 0.6000000000000001."""
    where = store(tmp_path, bars("A", [0.1, 0.2, 0.3, 0.1]))
    assert values(where, bt.sma("close", 3)) == [None, None, 0.2, 0.2]


def test_windows_count_the_symbols_own_bars_across_sessions(tmp_path: Path):
    where = store(
        tmp_path, bars("A", [1.0, 2.0]), bars("B", [9.0, 9.0, 9.0]), bars("A", [None, 3.0, 5.0], day=THURSDAY)
    )
    mean, within = bt.sma("close", 2), bt.sma("close", 2, within="session")
    assert values(where, mean, day=THURSDAY) == [2.5, 4.0]
    assert values(where, within, day=THURSDAY) == [None, 4.0]
    change = bt.feature(CLOSE - CLOSE.shift(1), 1)
    assert values(where, change, day=THURSDAY) == [1.0, 2.0]
    assert values(where, change) == [None, 1.0]
    assert values(where, change, symbol="B") == [None, 0.0, 0.0]


def test_a_lookback_in_days_reads_calendar_sessions(tmp_path: Path):
    """Three sessions back there is no bar that a lookback of two may see; the start-up check sees nothing wrong there."""
    where = store(tmp_path, bars("A", [6.0, 7.0]), bars("A", [3.0, 2.0], day=THURSDAY), bars("B", [1.0], day=WEDNESDAY))
    highest = bt.feature(pl.col("high").rolling_max(10, min_samples=1), "1d")
    both = bt.load_bars(where, "XNYS", TUESDAY, THURSDAY, features={"f": highest})["1m"]
    assert both.filter(pl.col("symbol") == "A")["f"].to_list() == [6.0, 7.0, 3.0, 3.0]


def test_a_coarser_feature_is_known_from_its_bins_end(tmp_path: Path):
    prices: list[Price] = [float(p) for p in range(1, 13)]
    where = store(tmp_path, bars("A", prices))
    assert values(where, bt.sma("close", 1, interval="5m")) == [*[None] * 4, *[5.0] * 5, *[10.0] * 3]


def test_a_coarser_feature_is_known_by_the_clock_although_its_last_minutes_are_missing(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 2.0, None, None, None, 3.0]))
    assert values(where, bt.sma("close", 1, interval="5m")) == [None, None, 2.0]


def test_yesterdays_last_coarse_value_is_known_this_morning(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 2.0]), bars("A", [4.0] * 6, day=THURSDAY))
    assert values(where, bt.sma("close", 1, interval="5m"), day=THURSDAY) == [2.0, 2.0, 2.0, 2.0, 4.0, 4.0]
    today = bt.sma("close", 1, interval="5m", within="session")
    assert values(where, today, day=THURSDAY) == [None, None, None, None, 4.0, 4.0]


def test_a_row_may_end_before_the_first_bin_of_an_interval_that_is_no_divisor(tmp_path: Path):
    """The 5m bar known at the end of the first 7m bar, of minute 6 alone, is yesterday's."""
    where = store(tmp_path, bars("A", [2.0]), bars("A", [None] * 6 + [4.0] * 8, day=THURSDAY))
    fives = bt.sma("close", 1, interval="5m")
    assert values(where, fives, day=THURSDAY, interval="7m") == [2.0, 4.0]


def test_an_expression_keeps_its_type(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 2.0, 1.0]))
    assert values(where, bt.feature(CLOSE.shift(1) < CLOSE, 1)) == [None, True, False]
    assert values(where, bt.feature(pl.col("volume") * 2, 0)) == [200, 200, 200]


def test_windows_are_exact(tmp_path: Path):
    where = store(tmp_path, bars("A", [0.1, 0.2, 0.3, 0.3, 0.3]))
    assert values(where, bt.sum("close", 3)) == [None, None, 0.6, 0.8, 0.9]
    assert values(where, bt.lag("close", 2)) == [None, None, 0.1, 0.2, 0.3]
    assert values(where, bt.lag("close", 0)) == [0.1, 0.2, 0.3, 0.3, 0.3]
    assert values(where, bt.ret("close", 2)) == [None, None, 2.0, 0.5, 0.0]
    assert values(where, bt.std("close", 3)) == [None, None, 0.1, pytest.approx(0.1 / 3**0.5), 0.0]
    assert values(where, bt.zscore("close", 3)) == [None, None, 1.0, pytest.approx(3**-0.5), None]
    assert values(where, bt.highest("close", 2)) == [None, 0.2, 0.3, 0.3, 0.3]
    assert values(where, bt.lowest("close", 4)) == [None, None, None, 0.1, 0.2]


def test_a_spread_that_does_not_fit_is_exact_too(tmp_path: Path):
    """Volumes of 4e9: n times their sum of squares passes 2^63, and its wrapped difference says nothing."""
    volumes = [4_000_000_000, 1, 4_000_000_000, 3]
    rows = [row for i, v in enumerate(volumes) for row in bars("A", [1.0], first=i, volume=v)]
    where = store(tmp_path, rows)
    std = values(where, bt.std("volume", 3))
    assert std == [None, None, *(pytest.approx(statistics.stdev(volumes[i : i + 3]), rel=1e-15) for i in (0, 1))]


def test_a_spread_of_many_decimals_is_the_same_whatever_was_read_before(tmp_path: Path):
    """Behind a far price squares pass 2^63 and are added in Python's whole numbers; without it they fit."""
    chance = random.Random(1)
    prices: list[Price] = [chance.randrange(29 * 10**8, 31 * 10**8) / 10**8 for _ in range(60)]
    where = store(tmp_path, bars("A", [1.0, *prices[:30]]), bars("A", prices, day=THURSDAY))
    for feature in (bt.std("close", 7), bt.zscore("close", 7)):
        both = bt.load_bars(where, "XNYS", TUESDAY, THURSDAY, features={"f": feature})["1m"]
        assert both["f"].to_list()[31:] == values(where, feature, day=THURSDAY)


def test_the_session_so_far(tmp_path: Path):
    rows = [bars("A", [10.0, 11.0], volume=0), bars("A", [12.0, 9.0], first=2, volume=100)]
    where = store(tmp_path, *rows, bars("A", [20.0], day=THURSDAY, volume=3))
    assert values(where, bt.vwap()) == [None, None, 12.0, 10.5]
    assert values(where, bt.vwap(), day=THURSDAY) == [20.0]
    assert values(where, bt.so_far("sum", "volume")) == [0, 0, 100, 200]
    assert values(where, bt.so_far("max", "high"), day=THURSDAY) == [20.0]
    assert values(where, bt.so_far("avg", "close")) == [10.0, 10.5, 11.0, 10.5]
    assert values(where, bt.so_far("sum", "close*volume")) == [0, 0, 1200, 2100]


def test_an_opening_range_is_null_until_its_minutes_are_over(tmp_path: Path):
    where = store(tmp_path, bars("A", [10.0, 12.0, None, 11.0, 15.0]), bars("B", [5.0, 6.0], first=3))
    assert values(where, bt.opening_range("high", 3)) == [None, None, 12.0, 12.0]
    assert values(where, bt.opening_range("high", 4)) == [None, None, 12.0, 12.0]
    assert values(where, bt.opening_range("low", 2)) == [None, 10.0, 10.0, 10.0]
    assert values(where, bt.opening_range("volume", 2)) == [None, 200, 200, 200]
    assert values(where, bt.opening_range("close", 3), symbol="B") == [None, None]
    assert values(where, bt.opening_range("open", 4), symbol="B") == [5.0, 5.0]


def test_prior_sessions_are_the_calendars(tmp_path: Path):
    first = bars("A", [(10.0, 11.0), (11.0, 9.0)])
    where = store(tmp_path, first, bars("A", [20.0], day=THURSDAY), bars("B", [1.0], day=WEDNESDAY))
    assert values(where, bt.prior("close", 2), day=THURSDAY) == [9.0]
    assert values(where, bt.prior("close"), day=THURSDAY) == [None]
    assert values(where, bt.prior("high", 2), day=THURSDAY) == [11.0]
    assert values(where, bt.prior("volume", 2), day=THURSDAY) == [200.0]
    assert values(where, bt.prior("close*volume", 2), day=THURSDAY) == [2000.0]
    assert values(where, bt.prior("max(high - low)", 2), day=THURSDAY) == [2.0]
    assert values(where, bt.prior("last(close) - first(open)", 2), day=THURSDAY) == [-1.0]
    assert values(where, bt.trailing("sum", "mean(close)", "5d"), day=THURSDAY) == [10.0]


def test_recursive_features_from_paper(tmp_path: Path):
    """Of two: the mean of the first two, then two thirds (ema) or half (Wilder) of the way to each."""
    prices = [1.0, 2.0, 3.0, 3.0, 0.0 + 2.0]
    where = store(tmp_path, bars("A", prices))
    approx = pytest.approx
    assert values(where, bt.ema("close", 2)) == [None, 1.5, 2.5, approx(17 / 6), approx(2.5 - 2 / 9)]
    assert values(where, bt.atr(2)) == [None, 0.5, 0.75, 0.375, 0.6875]
    assert values(where, bt.rsi("close", 2)) == [None, None, 100.0, 100.0, approx(100 * 0.25 / 0.75)]
    assert values(where, bt.rsi("close", 1)) == [None, 100.0, 100.0, None, 0.0]


@pytest.mark.parametrize(
    "prices", [[5.0] * 390, [5.0 + (i < 9) for i in range(390)], [1.0 + i % 7 for i in range(390)]]
)
def test_recursive_features_pass_the_check_however_the_symbol_trades(tmp_path: Path, prices: list[Price]):
    """A symbol that stands still forgets what came before, whether or not it lies in the lookback."""
    days = (TUESDAY, WEDNESDAY, THURSDAY, "2024-01-05", "2024-01-08")
    moving: list[Price] = [10.0 + i % 3 for i in range(390)]
    where = store(tmp_path, bars("A", moving, volume=10**9), *(bars("A", prices, day=d, volume=0) for d in days[1:]))
    features = {"r": bt.rsi(), "a": bt.atr(), "e": bt.ema("close", 20), "v": bt.ema("volume", 20)}
    for n, feature in features.items():
        found = bt.load_bars(where, "XNYS", days[3], days[4], features={n: feature})["1m"]
        assert found.height == 780


def test_ta_libraries_are_expressions(tmp_path: Path):
    """An expression plug-in of a TA library, against our own and against its definition."""
    ta = pytest.importorskip("polars_talib", reason="pip install polars-talib")
    prices: list[Price] = [100 + (13 * i % 29) / 10 for i in range(300)]
    where = store(tmp_path, bars("A", prices), bars("B", prices[::-1]), bars("A", prices[40:], day=WEDNESDAY))
    high, low, close = pl.col("high"), pl.col("low"), pl.col("close")
    pairs = {
        "ema": (bt.ema("close", 20), bt.feature(ta.ema(close, 20), lookback=480)),
        "rsi": (bt.rsi("close", 14), bt.feature(ta.rsi(close, 14), lookback=640)),
        "atr": (bt.atr(14), bt.feature(ta.atr(high, low, close, 14), lookback=640)),
        "sma": (bt.sma("close", 10), bt.feature(ta.sma(close, 10), lookback=9)),
        "within": (bt.ema("close", 5, within="session"), bt.feature(ta.ema(close, 5), lookback=0, within="session")),
    }
    for name, (own, theirs) in pairs.items():
        for day in (TUESDAY, WEDNESDAY):
            mine, other = values(where, own, day=day), values(where, theirs, day=day)
            known = [(a, b) for a, b in zip(mine, other, strict=True) if None not in (a, b) and not math.isnan(b)]
            assert len(known) > 200
            start = 0 if name != "atr" or day == WEDNESDAY else 250  # its first true range is of the second bar
            assert [a for a, _ in known[start:]] == pytest.approx([b for _, b in known[start:]], rel=1e-7)


def test_a_ta_library_with_too_short_a_lookback_is_refused(tmp_path: Path):
    ta = pytest.importorskip("polars_talib", reason="pip install polars-talib")
    prices: list[Price] = [100 + (13 * i % 29) / 10 for i in range(300)]
    where = store(tmp_path, bars("A", prices), bars("A", prices, day=WEDNESDAY))
    with pytest.raises(FeatureError, match="lookback must cover what it reads, was 20"):
        values(where, bt.feature(ta.ema(pl.col("close"), 20), lookback=20), day=WEDNESDAY)
