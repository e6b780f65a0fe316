from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import HALF_DAY, TUESDAY, bars, play, store

import bt
from bt.model import Session
from bt.resample import BREAK, CLOSE, EARLY_CLOSE, PERIOD, session_bins
from bt.schema import DAY, MINUTE, interval_minutes


def session(*segments: tuple[int, int], early: bool = False) -> Session:
    """A session of segments given in minutes."""
    spans = tuple((a * MINUTE, b * MINUTE) for a, b in segments)
    return Session(date(2024, 1, 2), spans[0][0], spans[-1][1], spans, early, sum(b - a for a, b in segments))


def in_minutes(bins: list[tuple[int, int, int, int, int]]) -> list[tuple[int, ...]]:
    return [(begin, end, opened // MINUTE, closed // MINUTE, by) for begin, end, opened, closed, by in bins]


def test_bins_are_anchored_at_each_segments_open_and_clipped_at_its_close():
    with_break = session((0, 7), (10, 15))
    assert in_minutes(session_bins(with_break, 5)) == [
        (0, 5, 0, 5, PERIOD),
        (5, 7, 5, 7, BREAK),
        (7, 12, 10, 15, PERIOD),
    ]


@pytest.mark.parametrize(("early", "by"), [(False, CLOSE), (True, EARLY_CLOSE)])
def test_the_last_bin_says_what_closed_it(early, by):
    assert in_minutes(session_bins(session((0, 7), early=early), 5))[-1] == (5, 7, 5, 7, by)
    assert in_minutes(session_bins(session((0, 5), early=early), 5)) == [(0, 5, 0, 5, PERIOD)]


def test_a_daily_bar_covers_all_segments():
    assert in_minutes(session_bins(session((0, 7), (10, 15)), DAY)) == [(0, 12, 0, 15, CLOSE)]
    assert in_minutes(session_bins(session((0, 7), early=True), DAY)) == [(0, 7, 0, 7, EARLY_CLOSE)]


@pytest.mark.parametrize(("interval", "minutes"), [("1m", 1), ("7m", 7), ("4h", 240), ("1d", DAY)])
def test_intervals(interval, minutes):
    assert interval_minutes(interval) == minutes


@pytest.mark.parametrize("interval", ["m", "5", "0m", "-5m", "1.5h", "2d", "5s", "5M", "\N{SUPERSCRIPT TWO}m"])
def test_what_is_no_interval(interval):
    with pytest.raises(ValueError, match=interval.replace(".", r"\.")):
        interval_minutes(interval)


def test_values_and_counts(tmp_path: Path):
    where = store(tmp_path, bars("A", [(1.0, 2.0), (5.0, 4.0), None, (3.0, 0.5), None, (7.0, 8.0)]))
    frame = bt.load_bars(where, "XNYS", TUESDAY, TUESDAY, intervals=["5m"])["5m"]
    columns = ("open", "high", "low", "close", "volume", "n_obs", "n_expected", "closed_by")
    assert frame.select(columns).rows() == [
        (1.0, 5.0, 0.5, 0.5, 300, 3, 5, "period"),
        (7.0, 8.0, 7.0, 8.0, 100, 1, 5, "period"),
    ]


def test_a_bin_without_a_minute_makes_no_bar(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0]), bars("A", [2.0], first=12))
    frame = bt.load_bars(where, "XNYS", TUESDAY, TUESDAY, intervals=["5m"])["5m"]
    assert frame["close"].to_list() == [1.0, 2.0]


class Seven(bt.Row):
    interval = "7m"
    symbol: str
    minute: int
    n_obs: int
    closed_by: str


class Watch:
    row = Seven

    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def on_bar(self, row: Seven, book: bt.Book) -> None:
        self.seen.append((f"{book.now:%H:%M}", row.symbol, row.minute, row.n_obs, row.closed_by))


def test_a_bin_is_visible_at_its_end_by_the_clock(tmp_path: Path):
    """Also when its last minutes are missing, and never a minute early; the half day cuts the last one at 17:00."""
    where = store(tmp_path, bars("A", [1.0] * 3, day=HALF_DAY), bars("B", [1.0] * 8, day=HALF_DAY),
                  bars("A", [1.0], day=HALF_DAY, first=207))  # fmt: skip
    watch = Watch()
    play(where, watch, HALF_DAY)
    assert watch.seen == [
        ("13:37", "A", 6, 3, "period"),
        ("13:37", "B", 6, 7, "period"),
        ("13:44", "B", 13, 1, "period"),
        ("17:00", "A", 209, 1, "period"),
    ]


def test_the_last_bin_of_a_half_day_is_closed_by_it(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0] * 210, day=HALF_DAY))
    frame = bt.load_bars(where, "XNYS", HALF_DAY, HALF_DAY, intervals=["4h", "1d"])
    assert frame["4h"].select("n_obs", "n_expected", "closed_by").rows() == [(210, 210, "early_close")]
    assert frame["1d"].select("n_obs", "n_expected", "closed_by").rows() == [(210, 210, "early_close")]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 2**40) | st.integers(2**60, 2**63 - 1), min_size=1, max_size=12))
def test_volume_is_conserved_whatever_it_comes_to(volumes: list[int]):
    """Whole numbers where int64 holds all of a symbol's, else floats: no sum wraps around."""
    made = [row for k, volume in enumerate(volumes) for row in bars("A", [1.0], first=k, volume=volume)]
    frame = pl.DataFrame(made, schema_overrides={"volume": pl.Int64, "ts": pl.Datetime("us", "UTC")})
    sums = {"window": bt.sum("volume", 2), "far": bt.so_far("sum", "volume")}
    found = bt.load_bars(frame, "XNYS", TUESDAY, TUESDAY, intervals=["1m", "5m", "1d"], features=sums)
    fits = sum(volumes) < 9.2e18
    assert (found["1d"]["volume"].dtype == pl.Int64) == fits
    for label, k in (("1m", 1), ("5m", 5), ("1d", 390)):
        parts = [volumes[a : a + k] for a in range(0, len(volumes), k)]
        assert found[label]["volume"].to_list() == pytest.approx(
            [sum(part) for part in parts], rel=0 if fits else 1e-15
        )
    far = [sum(volumes[: k + 1]) for k in range(len(volumes))]
    assert found["1m"]["far"].to_list() == pytest.approx(far, rel=1e-15)
    windows = [a + b for a, b in pairwise(volumes)]
    assert found["1m"]["window"].to_list()[1:] == pytest.approx(windows, rel=1e-14)


def test_symbols_of_several_files_are_summed_over_all_of_them(tmp_path: Path):
    for k in range(2):
        frame = pl.DataFrame(bars("A", [1.0], first=k, volume=2**62), schema_overrides={"volume": pl.Int64})
        frame.with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC"))).write_parquet(tmp_path / f"{k}.parquet")
    for symbols in (None, ["A"]):
        found = bt.load_bars(tmp_path, "XNYS", TUESDAY, TUESDAY, intervals=["1d"], symbols=symbols)
        assert found["1d"]["volume"].to_list() == [2.0**63]
