"""What pictures are made of: nothing that matters is lost on the way to the screen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bt.figures import evenly, grid, levels, met, missing, placed, thinned, traded
from bt.figures.summing import summed
from bt.model import Session

DAY = date(2024, 3, 4)
OPEN = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
START = int(OPEN.timestamp()) * 1_000_000
MINUTE = 60_000_000
SESSION = Session(
    DAY,
    START,
    START + 390 * MINUTE,
    ((START, START + 120 * MINUTE), (START + 180 * MINUTE, START + 390 * MINUTE)),
    early_close=False,
    minutes=330,
)
FLOATS = st.floats(-1e6, 1e6)


@settings(deadline=None)
@given(
    st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=40)
    | st.lists(st.tuples(FLOATS, FLOATS), min_size=100, max_size=300),
    st.integers(6, 60),
)
def test_a_thinned_series_keeps_ends_and_extremes(pairs, most):
    columns = [np.array(values) for values in zip(*pairs, strict=True)]
    kept = thinned(columns, most)
    assert len(kept) <= max(most, 6)
    assert (kept[0], kept[-1]) == (0, len(pairs) - 1)
    assert (np.diff(kept) > 0).all()
    for values in columns:
        assert (values[kept].min(), values[kept].max()) == (values.min(), values.max())


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(2, 50))
def test_even_places_begin_and_end_with_the_whole(count, most):
    places = evenly(count, most).tolist()
    assert (places[0], places[-1]) == (0, count - 1)
    assert len(places) == len(set(places)) <= max(most, 1)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.floats(0, 100)), min_size=1, max_size=200),
    st.integers(1, 12),
    st.integers(1, 12),
)
def test_a_cell_shows_the_worst_of_its_bin(rows, down, across):
    frame = pl.DataFrame(
        [(f"s{a:02}", f"d{b:02}", v) for a, b, v in rows], schema=["symbol", "session", "quality"], orient="row"
    )
    made = grid(frame, "symbol", "session", "quality", most=(down, across))
    assert made.values.shape == (len(made.rows), len(made.columns))
    assert made.values.shape[0] <= down
    assert made.values.shape[1] <= across
    for r, (first, last) in enumerate(made.rows):
        for c, (begin, end) in enumerate(made.columns):
            inside = [v for a, b, v in rows if first <= f"s{a:02}" <= last and begin <= f"d{b:02}" <= end]
            assert np.array_equal(made.values[r, c], min(inside, default=np.nan), equal_nan=True)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), FLOATS), max_size=60))
def test_sums_are_added_in_row_order(rows):
    frame = pl.DataFrame(rows, schema={"k": pl.String, "l": pl.String, "v": pl.Float64}, orient="row")
    expected = {}
    for k, m, v in rows:
        expected[k, m] = expected[k, m] + v if (k, m) in expected else v
    told = {(k, m): v for k, m, v in summed(frame, ("k", "l"), ("v",)).iter_rows()}
    assert told == pytest.approx(expected, rel=1e-12, abs=1e-6)
    assert list(told) == sorted(told)


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=70))
def test_every_traded_pair_has_its_place_in_the_order(pnl):
    days = [DAY + timedelta(days=i) for i in range(len(pnl))]
    frame = pl.DataFrame(
        {"session": days, "symbol": "A", "fills": [i % 3 for i in range(len(pnl))], "shares": 1, "pnl": pnl}
    )
    order = traded(frame)
    wanted = frame.filter(pl.col("fills") > 0)
    assert sorted(order["session"]) == wanted["session"].to_list()
    if wanted.height:
        assert abs(order["pnl"][0]) == wanted["pnl"].abs().max()


# ------------------------------------------------------------------------------------------------------------- placing


def bars(*minutes: int) -> pl.DataFrame:
    return pl.DataFrame({"open_time": [START + m * MINUTE for m in minutes], "close": [100.0 + m for m in minutes]})


def fill(minute: int, kind: str, reference: float = 100.0, decided: int | None = None) -> pl.DataFrame:
    at = OPEN + timedelta(minutes=minute)
    told = at if decided is None else OPEN + timedelta(minutes=decided)
    return pl.DataFrame({"time": [at], "type": [kind], "reference_price": [reference], "decided_at": [told]})


@pytest.mark.parametrize(
    ("rule", "given_", "bar"),
    [
        ("next_open", fill(1, "market", decided=0), 1),
        ("next_open", fill(5, "limit", decided=0), 3),
        ("next_open", fill(390, "exit_at_close"), 4),
        ("next_open", fill(390, "market_on_close"), 4),
        ("next_open", fill(0, "market_on_open"), 0),
        ("next_close", fill(2, "market", decided=0), 1),
        ("next_close", fill(2, "target", decided=0), 1),
        ("next_close", fill(2, "limit", decided=0), 2),
        ("same_close", fill(1, "market", 100.0, decided=1), 0),
        ("same_close", fill(1, "limit", 99.0, decided=1), 1),
        ("same_close", fill(5, "stop", 99.0, decided=1), 3),
        ("next_open", fill(-3, "market"), -1),
    ],
)
def test_a_fill_stands_at_the_bar_that_gave_its_price(rule, given_, bar):
    assert placed(bars(0, 1, 2, 5, 6), given_, rule).tolist() == [bar]


def order(number: int, decided: int, ended: int | None, **more: Any) -> dict[str, Any]:
    given = {"stop": None, "limit": None, "trail": None, "side": "sell", "status": "filled", "parent": None} | more
    times = {
        "decided_at": OPEN + timedelta(minutes=decided),
        "ended_at": None if ended is None else OPEN + timedelta(minutes=ended),
    }
    return {"id": number, "strategy": "s", "symbol": "A", **times, **given}  # fmt: skip


def filled(number: int, minute: int, price: float = 100.0, reference: float | None = None) -> dict[str, Any]:
    time = OPEN + timedelta(minutes=minute)
    return {"order_id": number, "strategy": "s", "symbol": "A", "time": time, "price": price, "reference_price": price if reference is None else reference}  # fmt: skip


def candle(minute: int, opens: float, high: float, low: float, close: float) -> dict[str, Any]:
    return {"open_time": START + minute * MINUTE, "open": opens, "high": high, "low": low, "close": close, "volume": 10}


def _frames(orders: list[dict], fills: Sequence[dict] = (filled(9, 1),)) -> tuple[pl.DataFrame, pl.DataFrame]:
    time = pl.Datetime("us", "UTC")
    schema = {
        "decided_at": time,
        "ended_at": time,
        "stop": pl.Float64,
        "limit": pl.Float64,
        "trail": pl.Float64,
        "parent": pl.Int64,
    }
    return pl.DataFrame(orders, schema_overrides=schema), pl.DataFrame(list(fills), schema_overrides={"time": time})


def waited(orders: list[dict], fills: list[dict], bars: Sequence[dict] = ()) -> list[tuple]:
    made = levels(*_frames(orders, fills))
    shape = {"open_time": pl.Int64, **dict.fromkeys(("open", "high", "low", "close"), pl.Float64), "volume": pl.Int64}
    found = made.at("A", SESSION, pl.DataFrame(bars, schema=shape))
    minutes = [
        (kind, price, (a - START) // MINUTE, (b - START) // MINUTE)
        for kind, price, a, b in found.select("kind", "price", "start", "end").iter_rows()
    ]
    return sorted(minutes)


def test_an_order_waits_from_when_it_was_given_until_it_ended():
    none = [filled(9, 1)]
    assert waited([order(1, 3, 8, stop=99.0)], none) == [("stop", 99.0, 3, 8)]
    assert waited([order(1, 3, 20, limit=99.0, status="cancelled")], none) == [("limit", 99.0, 3, 20)]
    assert waited([order(1, 3, None, limit=99.0, status="open")], none) == [("limit", 99.0, 3, 390)]
    assert waited([order(1, 3, 3, limit=99.0, status="rejected")], none) == []
    assert waited([order(1, -900, -600, limit=99.0)], none) == []  # the session before
    assert waited([order(1, -900, 5, limit=99.0)], none) == [("limit", 99.0, 0, 5)]
    assert waited([order(1, 3, 8, stop=99.0, limit=98.0)], none) == [("limit", 98.0, 3, 8), ("stop", 99.0, 3, 8)]


def test_legs_wait_from_their_parents_first_fill():
    orders = [order(1, 0, 4, limit=100.0), order(2, 0, 9, stop=98.0, status="cancelled", parent=1), order(3, 0, 9, limit=103.0, parent=1)]  # fmt: skip
    assert waited(orders, [filled(1, 4), filled(1, 2), filled(3, 9)]) == [
        ("limit", 100.0, 0, 4),
        ("limit", 103.0, 2, 9),
        ("stop", 98.0, 2, 9),
    ]
    never = [
        order(1, 0, 390, limit=90.0, status="expired"),
        order(2, 0, 390, stop=80.0, status="cancelled", parent=1),
    ]
    assert waited(never, [filled(9, 1)]) == [("limit", 90.0, 0, 390)]


RISING = [candle(0, 100, 101, 99.5, 100.5), candle(1, 100.5, 103, 100, 102), candle(2, 102, 102.5, 101.5, 102), candle(5, 104, 104, 101, 101)]  # fmt: skip


def test_a_trailing_stop_follows_the_bars():
    # as each bar opened: the highest price before it, its own open included
    assert waited([order(1, 0, 5, trail=2.0)], [filled(9, 1)], RISING) == [
        ("trail", 98.0, 0, 1),
        ("trail", 99.0, 1, 2),
        ("trail", 101.0, 2, 5),
    ]
    assert waited([order(1, 0, None, trail=2.0, status="open")], [filled(9, 1)], RISING)[-1] == ("trail", 102.0, 5, 390)
    # a buy follows down
    falling = [candle(0, 100, 101, 99, 99.5), candle(1, 99.5, 100, 97, 97.5), candle(2, 97, 98, 97, 98)]
    assert waited([order(1, 0, 3, trail=2.0, side="buy")], [filled(9, 1)], falling) == [
        ("trail", 99.0, 2, 3),
        ("trail", 101.0, 1, 2),
        ("trail", 102.0, 0, 1),
    ]


def test_a_trailing_leg_follows_from_its_parents_price():
    leg = [order(1, 0, 1), order(2, 0, 5, trail=2.0, parent=1)]
    assert waited(leg, [filled(1, 1, 100.6, 100.5)], RISING) == [("trail", 98.6, 1, 2), ("trail", 101.0, 2, 5)]
    # filled within its bar: of that one only the close came surely after it
    assert waited(leg, [filled(1, 1, 101.0, 101.0)], RISING) == [("trail", 99.0, 1, 2), ("trail", 100.0, 2, 5)]


def test_a_trailing_stop_of_the_day_before_needs_its_bars():
    day = 1440
    before = [candle(-day, 100, 110, 100, 108), *RISING]
    assert waited([order(1, -day, 2, trail=2.0)], [filled(9, 1)], before) == [("trail", 108.0, 0, 2)]
    made = levels(*_frames([order(1, -day, 2, trail=2.0), order(2, -day, -10, trail=2.0), order(3, 5, 9, stop=1.0)]))
    assert made.since("A", SESSION) == START - day * MINUTE
    assert levels(*_frames([order(2, -day, -10, trail=2.0)])).since("A", SESSION) == START


def test_bars_without_volume_move_no_stop_where_they_fill_nothing():
    bars_ = pl.DataFrame([candle(0, 1, 1, 1, 1), {**candle(1, 1, 1, 1, 1), "volume": 0}])
    assert (met(bars_, "skip").height, met(bars_, "fill").height) == (1, 2)


def test_gaps_do_not_reach_over_a_break():
    opens = np.array([START + m * MINUTE for m in [*range(118), *range(185, 390)]])
    told = [((a - START) // MINUTE, (b - START) // MINUTE) for a, b in missing(opens, SESSION)]
    assert told == [(118, 120), (180, 185)]
    assert missing(np.array([START + m * MINUTE for m in [*range(120), *range(180, 390)]]), SESSION) == []
