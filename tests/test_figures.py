"""What pictures are made of: nothing that matters is lost on the way to the screen."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bt.figures import evenly, grid, levels, missing, placed, thinned, traded
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


def order(
    number: int,
    kind: str,
    decided: int,
    *,
    stop=None,
    limit=None,
    status="filled",
    reason="",
    tif="day",
    parent=None,
    day=DAY,
) -> dict:
    return {
        "id": number, "strategy": "s", "symbol": "A", "session": day, "decided_at": OPEN + timedelta(minutes=decided), "type": kind, "stop": stop, "limit": limit,
        "tif": tif, "status": status, "reason": reason, "parent": parent,
    }  # fmt: skip


def filled(number: int, minute: int, position: int) -> dict:
    return {
        "order_id": number,
        "strategy": "s",
        "symbol": "A",
        "time": OPEN + timedelta(minutes=minute),
        "position_after": position,
    }


def waited(orders: list[dict], fills: list[dict]) -> list[tuple]:
    times = {"decided_at": pl.Datetime("us", "UTC"), "time": pl.Datetime("us", "UTC")}
    close = OPEN + timedelta(minutes=390)
    sessions = pl.DataFrame({"session": [DAY], "close": [close]}, schema_overrides={"close": pl.Datetime("us", "UTC")})
    schema = {"stop": pl.Float64, "limit": pl.Float64, "parent": pl.Int64}
    made = levels(
        pl.DataFrame(orders, schema_overrides={**schema, "decided_at": times["decided_at"]}),
        pl.DataFrame(fills, schema_overrides={"time": times["time"]}),
        sessions,
    )
    found = made.at("A", SESSION)
    minutes = [
        (kind, price, (a - START) // MINUTE, (b - START) // MINUTE)
        for kind, price, a, b in found.select("kind", "price", "start", "end").iter_rows()
    ]
    return sorted(minutes)


def test_a_stop_waits_until_it_fills_or_the_session_closes():
    assert waited([order(1, "stop", 3, stop=99.0)], [filled(1, 8, 10)]) == [("stop", 99.0, 3, 8)]
    assert waited([order(1, "stop", 3, stop=99.0, status="expired", reason="unfilled")], [filled(7, 1, 5)]) == [
        ("stop", 99.0, 3, 390)
    ]
    assert waited([order(1, "stop_limit", 3, stop=99.0, limit=98.0)], [filled(1, 8, 10)]) == [
        ("limit", 98.0, 3, 8),
        ("stop", 99.0, 3, 8),
    ]


def test_legs_wait_from_their_parents_fill_until_the_position_is_gone():
    orders = [
        order(1, "market", 0), order(2, "stop_loss", 0, stop=98.0, status="cancelled", reason="oco", tif="gtc", parent=1),
        order(3, "take_profit", 0, limit=103.0, tif="gtc", parent=1),
    ]  # fmt: skip
    assert waited(orders, [filled(1, 2, 10), filled(3, 9, 0)]) == [("limit", 103.0, 2, 9), ("stop", 98.0, 2, 9)]


def test_legs_of_a_position_that_comes_and_goes_within_a_bar():
    legs = [
        order(2, "stop_loss", 0, stop=98.0, tif="gtc", parent=1),
        order(3, "take_profit", 0, limit=103.0, status="cancelled", reason="oco", tif="gtc", parent=1),
    ]
    later = [filled(4, 5, 10), filled(5, 9, 0)]
    assert waited([order(1, "market", 0), *legs], [filled(1, 2, 10), filled(2, 2, 0), *later]) == [
        ("limit", 103.0, 2, 2),
        ("stop", 98.0, 2, 2),
    ]
    # sold and bought again at one time: legs of what was bought live on
    again = [order(1, "market", 0), order(2, "stop_loss", 0, stop=98.0, status="open", tif="gtc", parent=1)]
    assert waited(again, [filled(0, 2, 0), filled(1, 2, 10)]) == [("stop", 98.0, 2, 390)]


def test_a_leg_of_an_order_that_never_filled_waits_for_nothing():
    assert waited([order(1, "limit", 0, limit=90.0, status="expired"), order(2, "stop_loss", 0, stop=80.0, status="cancelled", reason="parent", parent=1)],
                  [filled(9, 1, 5)]) == [("limit", 90.0, 0, 390)]  # fmt: skip


def test_gaps_do_not_reach_over_a_break():
    opens = np.array([START + m * MINUTE for m in [*range(118), *range(185, 390)]])
    told = [((a - START) // MINUTE, (b - START) // MINUTE) for a, b in missing(opens, SESSION)]
    assert told == [(118, 120), (180, 185)]
    assert missing(np.array([START + m * MINUTE for m in [*range(120), *range(180, 390)]]), SESSION) == []
