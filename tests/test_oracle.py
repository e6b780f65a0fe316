"""The oracle itself, on cases small enough to work out by hand: the numbers in the comments come from paper."""

from __future__ import annotations

import ast
import csv
import math
import random
from collections import Counter
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import oracle as o
import pytest
from oracle.account import Commission, Order, fill_price
from oracle.metrics import max_drawdown

D1, D2, D3 = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)
TEN = "10:00-10:10"
NEW_YORK = "America/New_York"


def day(name=D1, *hours, early=False):
    return o.regular_day(name, "UTC", *(hours or (TEN,)), early_close=early)


def bar(session, minute, open_, close=None, *, symbol="A", volume=100):
    """A bar of one minute of session; its close is its open unless given."""
    close = open_ if close is None else close
    t = session.minutes[minute]
    return o.Bar(symbol, t, open_, max(open_, close), min(open_, close), close, volume)


def raw(when, symbol="A", price=10.0, **changes):
    """A row at a UTC time of day, "2024-01-02 10:00"."""
    t = o.micros(datetime.fromisoformat(when + "+00:00"))
    return o.Bar(symbol, t, price, price, price, price, 100)._replace(**changes)


class Script:
    """Does what it was told at (symbol, minute of session), and remembers what it was told."""

    def __init__(self, steps=None, *, start=None, end=None, fill=None, order=None):
        self.steps, self.start, self.end, self.fill, self.order = steps or {}, start, end, fill, order
        self.fills, self.told, self.rows = [], [], []

    def on_session_start(self, session, book):
        if self.start:
            self.start(session, book)

    def on_session_end(self, session, book):
        if self.end:
            self.end(session, book)

    def on_bar(self, row, book):
        self.rows.append(row)
        for key in ((row.session, row.symbol, row.minute), (row.symbol, row.minute)):
            if key in self.steps:
                self.steps[key](book)

    def on_fill(self, fill, book):
        self.fills.append((fill.symbol, fill.order_id, fill.shares))
        if self.fill:
            self.fill(fill, book)

    def on_order(self, order, book):
        self.told.append((order.id, order.status, order.reason))
        if self.order:
            self.order(order, book)


ROW = o.RowType(("symbol", "session", "minute", "close"))


def play(days, bars, script, *, cash=1000.0, leverage=1.0, gate=None, rows=(ROW,), **execution):
    backtest = o.Backtest(
        days,
        bars,
        [o.Strategy("s", script, rows)],
        zone="UTC",
        execution=o.Execution(**execution),
        account=o.Account(cash, leverage),
        gate=gate,
    )
    return backtest.run()


def column(rows, *names):
    found = [tuple(r[n] for n in names) for r in rows]
    return found if len(names) > 1 else [f[0] for f in found]


def test_imports_nothing_of_bt_and_no_numpy():
    folder = Path(o.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"bt", "numpy", "polars", "numba"}, path


# ------------------------------------------------------------------------------------------------------------- guards


def test_outside_rows():
    # Tuesday and Wednesday 10:00-11:00 and 12:00-13:00; the midpoint of the night is 2024-01-02 23:30
    days = [day(d, "10:00-11:00", "12:00-13:00") for d in (D1, D2)]
    rows = [
        raw("2024-01-02 09:59"),  # before the open
        raw("2024-01-02 11:00"),  # a segment ends before its close
        raw("2024-01-02 11:30", symbol="B", price=-1.0),  # in the break, whatever its values
        raw("2024-01-02 13:00"),  # stamped at the close, and the only row after it
        raw("2024-01-02 13:00", symbol="B"),  # not the only one
        raw("2024-01-02 23:30", symbol="B"),  # the midpoint belongs to the earlier
        raw("2024-01-02 23:31", symbol="C"),  # the later one's, before its open
    ]
    found = o.classify(rows, days, "UTC")
    assert found.accepted == {D1: {}, D2: {}}
    assert found.withheld == Counter(
        {
            (D1, "A", "before_open"): 1,
            (D1, "A", "in_break"): 1,
            (D1, "B", "in_break"): 1,
            (D1, "A", "closing_print"): 1,
            (D1, "B", "after_close"): 2,
            (D2, "C", "before_open"): 1,
        }
    )
    assert found.closing == {D1: {"A": 10.0, "B": 10.0}}


def test_no_session_goes_by_the_local_date():
    # Friday 2024-01-05 and Monday 2024-01-08 in New York, 09:30-16:00 = 14:30-21:00 UTC; midpoint Sunday 05:45 UTC
    days = [o.regular_day(date(2024, 1, d), NEW_YORK, "09:30-16:00") for d in (5, 8)]
    rows = [
        raw("2024-01-06 04:59"),  # still Friday in New York: 23:59
        raw("2024-01-06 05:00"),  # Saturday
        raw("2024-01-07 05:45"),  # Sunday, the midpoint: the earlier session's
        raw("2024-01-07 05:46"),  # Sunday, Monday's session
        raw("2024-01-08 05:00"),  # Monday
    ]
    assert o.classify(rows, days, NEW_YORK).withheld == Counter(
        {
            (date(2024, 1, 5), "A", "after_close"): 1,
            (date(2024, 1, 5), "A", "no_session"): 2,
            (date(2024, 1, 8), "A", "no_session"): 1,
            (date(2024, 1, 8), "A", "before_open"): 1,
        }
    )


def test_a_run_reads_from_midpoint_to_midpoint():
    before, only, after = day(D1), day(D2), day(D3)
    rows = [raw(f"2024-01-0{d} {t}") for d, t in [(2, "22:05"), (2, "22:06"), (3, "10:00"), (3, "22:05"), (3, "22:06")]]
    found = o.classify(rows, [only], "UTC", before=before, after=after)  # midpoints at 22:05
    assert found.withheld == {(D2, "A", "before_open"): 1, (D2, "A", "after_close"): 1}
    assert [b.time_us for b in found.accepted[D2]["A"]] == [only.open]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"close": math.nan, "time_us": o.MINUTE // 2}, "off_grid"),
        ({"close": math.nan, "open": -1.0}, "non_finite"),
        ({"volume": None}, "non_finite"),
        ({"low": 0.0, "high": 1.0}, "non_positive"),
        ({"high": 9.0}, "inconsistent"),
        ({"low": 10.5}, "inconsistent"),
        ({"volume": -1}, "inconsistent"),
        ({"high": 1e12}, "inconsistent"),
        ({"volume": 0}, None),
    ],
)
def test_row_faults_in_order(changes, reason):
    row = raw("2024-01-02 10:00")
    row = row._replace(**changes | {"time_us": row.time_us + changes.get("time_us", 0)})
    found = o.classify([row], [day()], "UTC")
    assert found.withheld == ({(D1, "A", reason): 1} if reason else {})
    assert len(found.accepted[D1].get("A", [])) == (reason is None)


def test_duplicates_and_conflicts():
    same, other = raw("2024-01-02 10:00"), raw("2024-01-02 10:01")
    rows = [same, same, same, other, other._replace(volume=101), raw("2024-01-02 10:01", high=math.inf)]
    found = o.classify(rows, [day()], "UTC")
    # the faulty third copy of 10:01 takes no part; its two good ones disagree
    assert found.withheld == {(D1, "A", "duplicate"): 2, (D1, "A", "conflict"): 2, (D1, "A", "non_finite"): 1}
    assert found.accepted[D1]["A"] == [same]


def test_days_that_touch():
    # sessions that touch: midnight belongs to the new day, nothing is ever outside
    days = []
    for d in (D1, D2):
        midnight = o.micros(datetime.fromisoformat(f"{d}T00:00+00:00"))
        days.append(o.Day(d, [(midnight, midnight + 1440 * o.MINUTE)]))
    found = o.classify([raw("2024-01-02 23:59"), raw("2024-01-03 00:00")], days, "UTC")
    assert not found.withheld
    assert [len(found.accepted[d]["A"]) for d in (D1, D2)] == [1, 1]


# -------------------------------------------------------------------------------------------------- bins and quality


def test_bins_are_anchored_at_segments_and_clipped():
    # 7 and 5 minutes: bins of 5 are 0-4, 5-6 | 7-11
    split = day(D1, "10:00-10:07", "11:00-11:05")
    bars = [bar(split, m, 10.0 + m, 10.5 + m, volume=m + 1) for m in (0, 1, 3, 5, 8, 11)]
    bins = o.resample(split, bars, "5m")
    assert [(b.open, b.high, b.low, b.close, b.volume) for b in bins] == [
        (10.0, 13.5, 10.0, 13.5, 1 + 2 + 4),
        (15.0, 15.5, 15.0, 15.5, 6),
        (18.0, 21.5, 18.0, 21.5, 9 + 12),
    ]
    assert [(b.n_obs, b.n_expected, b.closed_by) for b in bins] == [(3, 5, "period"), (1, 2, "break"), (2, 5, "period")]
    assert [(b.time_us - split.open) // o.MINUTE for b in bins] == [0, 5, 60]
    assert [(b.end_us - split.open) // o.MINUTE for b in bins] == [5, 7, 65]
    (whole,) = o.resample(split, bars, "1d")
    assert (whole.n_obs, whole.n_expected, whole.closed_by) == (6, 12, "close")
    assert (whole.time_us, whole.end_us, whole.volume) == (split.open, split.close, 34)


@pytest.mark.parametrize(("early", "closed_by"), [(False, "close"), (True, "early_close")])
def test_the_last_bin_says_what_closed_it(early, closed_by):
    session = day(D1, "10:00-10:07", early=early)
    bins = o.resample(session, [bar(session, m, 10.0) for m in range(7)], "5m")
    assert [b.closed_by for b in bins] == ["period", closed_by]
    assert [b.closed_by for b in o.resample(session, [bar(session, 0, 1.0)], "1d")] == [closed_by]
    assert o.resample(session, [bar(session, 6, 1.0)], "5m")[0].n_expected == 2  # a bin with no minute makes no bar


def test_quality_and_gaps():
    split = day(D1, "10:00-10:05", "11:00-11:05")
    bars = [bar(split, m, 10.0) for m in (0, 1, 4, 7, 8, 9)]  # missing 2 3 | 5 6
    found = o.quality(split, bars)
    assert (found.present, found.expected, found.percent) == (6, 10, 60.0)
    at = split.minutes
    assert found.gaps == [(at[2], at[4], 2), (at[5], at[7], 2)]
    assert [o.quality_at(split, bars, m) for m in (0, 3, 4, 9)] == [100.0, 50.0, 60.0, 60.0]
    assert o.quality(split, []).percent == 0.0
    full = [bar(split, m, 10.0) for m in (0, 1, 2, 3, 4, 7)]
    assert o.quality(split, full, "5m")[:3] == (1, 2, 50.0)
    assert o.quality(split, full, "5m").gaps == [(at[5], split.close, 5)]


def test_completeness_is_against_the_symbols_own_median():
    days = [day(D1 + timedelta(days=i)) for i in range(7)]
    bars = {d.name: {"A": [bar(d, m, 1.0) for m in (0, 4, 8)]} for d in days}
    bars[days[6].name] = {"A": [bar(days[6], 0, 1.0)]}
    history = o.History(days, bars)
    assert o.completeness(days, history.bars, "A", days[4].name, 9) is None  # four earlier sessions
    assert o.completeness(days, history.bars, "A", days[5].name, 9) == 100.0
    assert o.completeness(days, history.bars, "A", days[6].name, 3) == 100.0  # 1 of 1 by then
    assert o.completeness(days, history.bars, "A", days[6].name, 9) == 100 / 3


def test_outages_need_seventy_percent_of_the_active():
    days = [day(D1 + timedelta(days=i), "10:00-12:00") for i in range(3)]
    dark = range(20, 25)  # five minutes that three of four symbols lack
    bars = {d.name: {} for d in days}
    for i, symbol in enumerate("ABCD"):
        for d in (days[0], days[2]):
            bars[d.name][symbol] = [
                bar(d, m, 1.0, symbol=symbol) for m in range(120) if not (d is days[0] and i < 3 and m in dark)
            ]
    first = days[0]
    assert o.outages(days, bars, "ABCD") == [
        (first.name, first.minutes[20], first.minutes[25], 5),
        (days[1].name, days[1].open, days[1].close, 120),  # nobody, between two sessions with rows
    ]


# ----------------------------------------------------------------------------------------------------------- features


def test_means_tie_exactly():
    session = day()
    closes = [0.1, 0.2, 0.3, 0.2, 0.2]
    history = o.History([session], {D1: {"A": [bar(session, m, c) for m, c in enumerate(closes)]}})
    feature = o.sma("close", 3)
    feature.prepare(history)
    seen = [feature.value("A", session, m, session.minutes[m] + o.MINUTE) for m in range(5)]
    # 0.6/3, 0.7/3, 0.7/3 in tenths: nothing of float sums (0.1 + 0.2 + 0.3 is 0.6000000000000001)
    assert seen == [None, None, 0.2, float(Fraction(7, 30)), float(Fraction(7, 30))]


def test_coarser_features_are_joined_as_of_the_bins_end():
    days = [day(D1), day(D2)]
    bars = {d.name: {"A": [bar(d, m, 10.0 + m) for m in (0, 3, 5, 6)]} for d in days}
    history = o.History(days, bars)
    across, within = o.sma("close", 1, interval="5m"), o.sma("close", 1, interval="5m", within="session")
    for feature in (across, within):
        feature.prepare(history)

    def at(feature, d, minute):
        return feature.value("A", d, minute, d.minutes[minute] + o.MINUTE)

    # the bin of minutes 0-4 closes at 13.0, known from the end of minute 4 though that minute has no bar
    assert [at(across, days[0], m) for m in (3, 4, 8, 9)] == [None, 13.0, 13.0, 16.0]
    assert [at(across, days[1], m) for m in (0, 4)] == [16.0, 13.0]  # yesterday's until today's
    assert [at(within, days[1], m) for m in (0, 4)] == [None, 13.0]


def test_windows_run_across_sessions_unless_within():
    days = [day(D1), day(D2)]
    bars = {d.name: {"A": [bar(d, m, 1.0 + m) for m in (0, 1)]} for d in days}
    history = o.History(days, bars)
    for within, expected in ((None, 2.0), ("session", None)):
        feature = o.window_feature(lambda bars: max(b.close for b in bars), 3, within=within)
        feature.prepare(history)
        assert feature.value("A", days[1], 0, days[1].open + o.MINUTE) == expected


def test_trailing_periods():
    days = [day(D1 + timedelta(days=i)) for i in range(5)]
    bars = {d.name: {} for d in days}
    for i in (0, 1, 3, 4):  # the third session has no row
        d = days[i]
        bars[d.name]["A"] = [bar(d, 0, 1.0 + i, 2.0 + i, volume=10), bar(d, 2, 3.0 + i, volume=10 * i)]
    history = o.History(days, bars)

    def value(aggregate, of, period, **more):
        return o.trailing_value(history, "A", days[4], aggregate, of, period, **more)

    # daily volumes 10, 20, -, 40; "3d" is the calendar's three sessions, one of them without data
    assert value("avg", "volume", "3d") == (30.0, 2)
    assert value("avg", "volume", "9d") == (70 / 3, 3)
    assert value("avg", "volume", "3d", min_sessions=3) == (None, 2)
    assert value("std", "volume", "3d") == (math.sqrt(200), 2)  # (20, 40): 2 x 10**2 / 1
    assert value("std", "volume", "1d") == (None, 1)
    # daily opens 1, 2, -, 4; highs 3, 4, -, 6; lows 1, 2, -, 4; closes 3, 4, -, 6
    assert value("first", "open", "9d")[0] == 1.0
    assert value("last", "close", "9d")[0] == 6.0
    assert value("max", "high", "9d")[0] == 6.0
    assert value("min", "low", "3d")[0] == 2.0
    assert value("sum", "close", "9d")[0] == 13.0
    # an expression is summed over its minutes: 2 x 10 + 3 x 0, 3 x 10 + 4 x 10, 5 x 10 + 6 x 30
    assert value("last", lambda b: b.close * b.volume, "9d")[0] == 230.0
    # minute 2: volumes 0, 10, -, 30; minute 1 never has a bar
    assert value("avg", "volume", "9d", minute=2) == (40 / 3, 3)
    assert value("avg", "volume", "9d", minute=1) == (None, 0)


def test_calendar_periods_clip_to_the_months_end():
    days = [day(date(2023, 1, 1) + timedelta(days=i)) for i in range(500)]

    def first(name, period):
        return o.features.past_days(days, day(name), period)[0].name

    assert first(date(2024, 3, 31), "1m") == date(2024, 2, 29)
    assert first(date(2023, 3, 31), "1m") == date(2023, 2, 28)
    assert first(date(2024, 2, 29), "1y") == date(2023, 2, 28)
    assert first(date(2024, 1, 15), "12m") == date(2023, 1, 15)
    assert first(date(2024, 1, 15), "2w") == date(2024, 1, 1)
    assert first(date(2024, 1, 15), "2d") == date(2024, 1, 13)


# -------------------------------------------------------------------------------------------------- fills and accounts


def test_money_is_rounded_once_half_to_even():
    assert [o.units(x) for x in (1.0, 0.000000005, 0.000000015, 0.1)] == [10**8, 0, 2, 10**7]
    # 10.00 moved by 2.5 bp: 10.0025 and 9.9975; 1 unit by 5000 bp: 1.5 -> 2 and 0.5 -> 0
    assert [fill_price(10**9, s, 2.5) for s in (1, -1)] == [1_000_250_000, 999_750_000]
    assert [fill_price(1, s, 5000.0) for s in (1, -1)] == [2, 0]
    assert commission_of(-3, 0.005) == 1_500_000
    assert commission_of(1, 0.000000005) == 0  # half a unit
    assert commission_of(3, 0.000000005) == 2  # one and a half


def commission_of(shares: int, per_share: float) -> int:
    """The commission of the only fill of an order."""
    return Commission(per_share).charge(an_order(), shares, 10 * o.UNIT, 0)


def an_order() -> Order:
    return Order(1, "A", "market", 1, None, "day", "", None, 0)


def test_commission_by_order_by_value_and_by_tier():
    """Five cents an order, a basis point of 1,000 a share; of the month's shares the first 10 cost 1 cent, the next 5 half a cent, others nothing."""
    plan = Commission(per_trade=0.05, bps=1.0, minimum=0.5, tiers=((0, 0.01), (10, 0.005), (15, 0.0)))
    order, cents = an_order(), o.UNIT // 100
    assert plan.charge(order, -1, 1000 * o.UNIT, 8) == 50 * cents  # 1 + 10 + 5 is less than the least there is
    assert plan.charge(order, -3, 1000 * o.UNIT, 9) == 0  # 1 + 2 x 0.5 + 30 more: 48
    assert plan.charge(order, -2, 1000 * o.UNIT, 14) == 18_500_000  # 0.5 + 20 more: 68.5
    assert plan.charge(an_order(), 10, 1000 * o.UNIT, 100) == 105 * cents


def test_a_market_order_fills_at_the_next_real_bars_open():
    session = day()
    bars = [bar(session, 0, 10.0), bar(session, 3, 11.0, 12.0), bar(session, 4, 13.0)]
    script = Script({("A", 0): lambda b: b.order("A", 10, tag="in"), ("A", 3): lambda b: b.order("A", -10)})
    result = play([session], bars, script, slippage_bps=10.0, commission_per_share=0.01)
    assert column(result.fills, "time", "shares", "price", "reference_price", "slippage", "commission", "tag") == [
        (o.instant(session.minutes[3]), 10, 11.011, 11.0, 0.11, 0.1, "in"),
        (o.instant(session.minutes[4]), -10, 12.987, 13.0, 0.13, 0.1, ""),
    ]
    (trade,) = result.trades
    # bought 110.11, sold 129.87: 19.76 gross, 0.20 of costs; at the close of minute 3 it was worth 120 - 110.11
    assert (trade["gross_pnl_units"], trade["costs_units"], trade["net_pnl_units"]) == (
        1976000000,
        20000000,
        1956000000,
    )
    assert (trade["mae"], trade["mfe"], trade["minutes_held"]) == (0.0, 9.89, 1)
    assert (trade["entry_price"], trade["exit_price"], trade["return"]) == (11.011, 12.987, 1956 / 11011)
    assert (trade["side"], trade["entry_tag"], trade["exit_reason"]) == ("long", "in", "market")
    assert result.equity[-1]["equity_units"] == o.units(1019.56)
    # minutes 0-2 cash, minute 3: 1000 - 110.11 - 0.10 + 120, from minute 4 flat
    assert column(result.equity, "equity") == [1000.0] * 3 + [1009.79] + [1019.56] * 6
    assert column(result.equity, "gross")[2:5] == [0.0, 120.0, 0.0]
    assert result.equity[0]["time"] == o.instant(session.minutes[1])
    assert result.iterations == 3


def test_adding_reducing_and_reversing():
    session = day()
    bars = [bar(session, m, p) for m, p in enumerate((10.0, 10.0, 11.0, 12.0))]
    bars += [bar(session, 4, 13.0, 13.5), bar(session, 5, 14.0)]
    seen = []
    script = Script(
        {
            ("A", 0): lambda b: b.order("A", 2),  # 2 at 10
            ("A", 1): lambda b: b.order("A", 1),  # 1 at 11: cost 31, average 10.333
            ("A", 2): lambda b: b.order("A", -1),  # 1 out at 12
            ("A", 3): lambda b: (seen.append(b.holding("A")), b.order("A", -6)),  # 2 out and 4 short at 13
            ("A", 4): lambda b: b.target("A", 0),  # 4 back at 14
        },
    )
    result = play([session], bars, script, commission_per_share=0.00000005)  # 5 units a share
    (held,) = seen
    # removed 31 / 3 = 10.33333333 of cost: 20.66666667 stays, 1.66666667 was realized
    assert (held.shares, held.avg_price, held.price, held.value) == (2, 10.333333335, 12.0, 24.0)
    assert (held.realized_pnl, held.unrealized_pnl, held.bars_held) == (1.66666667, 3.33333333, 3)
    assert held.opened == o.instant(session.minutes[1])
    long, short = result.trades
    # in 2 x 10 + 11, out 12 + 2 x 13: 7; commission 10 + 5 + 5 + 30 x 2/6 units
    assert (long["gross_pnl"], long["shares"], long["costs_units"], long["exit_reason"]) == (7.0, 3, 30, "market")
    assert long["entry_price"] == 10.33333333  # 31 / 3, money
    assert (long["mae"], long["mfe"]) == (0.0, 5.0)  # at closes 10, 11, 12: 20 - 20, 33 - 31, 12 + 24 - 31
    # short 4 at 13, back at 14: -4; the rest of that commission and 20
    assert (short["gross_pnl"], short["costs_units"], short["side"], short["exit_reason"]) == (
        -4.0,
        40,
        "short",
        "target",
    )
    assert (short["entry_price"], short["exit_price"], short["mae"], short["mfe"]) == (13.0, 14.0, -2.0, 0.0)
    assert result.equity[-1]["equity_units"] == o.units(1003.0) - 70


@pytest.mark.parametrize(
    ("per_share", "first", "second"),
    [
        (0.000000025, 4, 7),  # 2.5 -> 2 units, then 5: 2.5 -> 2 of them end the long trade, 3 begin the short
        (0.000000035, 8, 11),  # 3.5 -> 4 units, then 7: 3.5 -> 4 of them
    ],
)
def test_the_halves_of_a_commission_round_to_even(per_share, first, second):
    session = day()
    bars = [bar(session, m, 10.0) for m in range(4)]
    script = Script({("A", 0): lambda b: b.order("A", 1), ("A", 1): lambda b: b.order("A", -2)})
    result = play([session], bars, script, commission_per_share=per_share)
    assert column(result.trades, "costs_units") == [first]
    assert result.equity[-1]["equity_units"] == o.units(1000.0) - second


def test_day_orders_expire_and_gtc_orders_wait():
    days = [day(D1), day(D2)]
    bars = [bar(days[0], 0, 10.0), bar(days[0], 9, 10.0), bar(days[1], 4, 20.0)]
    steps = {
        (D1, "A", 9): lambda b: (b.order("A", 1), b.order("A", 2, tif="gtc")),
    }
    script = Script(steps, end=lambda s, b: (b.order("A", 3), b.order("A", 4, tif="gtc")))
    result = play(days, bars, script)
    assert column(result.orders, "id", "status", "reason") == [
        (1, "expired", "no_bar"),
        (2, "filled", ""),
        (3, "expired", "no_bar"),
        (4, "filled", ""),
        (5, "expired", "no_bar"),
        (6, "open", ""),
    ]
    assert column(result.fills, "order_id", "session", "time") == [
        (2, D2, o.instant(days[1].minutes[4])),
        (4, D2, o.instant(days[1].minutes[4])),
    ]
    assert script.told == [(1, "expired", "no_bar"), (3, "expired", "no_bar"), (5, "expired", "no_bar")]
    assert column(result.positions, "session", "symbol", "shares", "price", "value") == [(D2, "A", 6, 20.0, 120.0)]
    assert len(result.equity) == 20


def test_orders_of_the_session_start_match_the_first_bars_open():
    session = day()
    script = Script(start=lambda s, b: b.order("A", 1))
    result = play([session], [bar(session, 0, 10.0, 11.0), bar(session, 1, 12.0)], script)
    assert column(result.fills, "time", "price") == [(o.instant(session.open), 10.0)]


def test_exits_fill_before_entries():
    session = day()
    bars = [bar(session, m, 10.0, symbol=s) for m in range(4) for s in "ABC"]
    steps = {
        ("A", 0): lambda b: b.order("B", 5),
        ("A", 1): lambda b: (b.order("A", 1), b.order("C", -1), b.order("B", -5)),  # ids 2, 3, 4: B's is an exit
    }
    script = Script(steps)
    play([session], bars, script)
    assert script.fills == [("B", 1, 5), ("B", 4, -5), ("A", 2, 1), ("C", 3, -1)]


def test_on_fill_sees_the_fill_booked_and_the_marks_before():
    session = day()
    bars = [bar(session, 0, 10.0), bar(session, 1, 12.0, 15.0), bar(session, 2, 20.0)]
    seen = []

    def fill(told, book):
        seen.append((book.position("A"), book.cash, book.price("A"), book.equity))
        if told.order_id == 1:
            book.order("A", -1)

    result = play([session], bars, Script({("A", 0): lambda b: b.order("A", 1)}, fill=fill))
    # bought at 12 with the last close shown at 10: 988 + 10; the order of on_fill is decided at that bar's end
    assert seen == [(1, 988.0, 10.0, 998.0), (0, 1008.0, 15.0, 1008.0)]
    assert column(result.orders, "decided_at")[1] == o.instant(session.minutes[2])
    assert column(result.fills, "time")[1] == o.instant(session.minutes[2])


def test_a_target_is_a_level():
    session = day()
    bars = [bar(session, m, 10.0) for m in (0, 1, 2, 4, 5, 6)]
    steps = {
        ("A", 0): lambda b: (b.target("A", 0), b.target("A", 5), b.target("A", 5), b.target("A", 7)),
        ("A", 1): lambda b: b.target("A", 7),  # held: nothing
        ("A", 2): lambda b: (b.order("A", -7), b.target("A", 7)),  # the order is cancelled, no target is needed
        ("A", 4): lambda b: (b.order("A", -4), b.order("A", -3)),
        ("A", 5): lambda b: b.target("A", 0),  # held 0 and nothing is live
    }
    result = play([session], bars, Script(steps))
    assert column(result.orders, "id", "type", "status", "reason", "level") == [
        (1, "target", "cancelled", "retargeted", 5),
        (2, "target", "filled", "", 7),
        (3, "market", "cancelled", "retargeted", None),
        (4, "market", "filled", "", None),
        (5, "market", "filled", "", None),
    ]
    assert column(result.fills, "shares") == [7, -4, -3]


def test_a_target_is_measured_at_its_turn():
    session = day()
    bars = [bar(session, m, 10.0) for m in range(4)]
    steps = {("A", 0): lambda b: (b.target("A", 5), b.order("A", 5))}  # by id: 5 bought, then 5 more
    assert column(play([session], bars, Script(steps)).fills, "shares", "position_after") == [(5, 5), (5, 10)]
    steps = {("A", 0): lambda b: b.order("A", 5), ("A", 1): lambda b: (b.target("A", 0), b.order("A", -5))}
    result = play([session], bars, Script(steps))  # both reduce what was held before: id 2 first, then 3 goes short
    assert column(result.fills, "order_id", "position_after") == [(1, 5), (2, 0), (3, -5)]
    steps = {("A", 0): lambda b: b.order("A", 5), ("A", 1): lambda b: (b.target("A", 8), b.order("A", 3))}
    result = play([session], bars, Script(steps))
    assert column(result.fills, "position_after") == [5, 8, 11]
    steps = {("A", 0): lambda b: b.order("A", 5), ("A", 1): lambda b: (b.target("A", 2), b.order("A", -3))}
    result = play([session], bars, Script(steps))
    assert column(result.fills, "position_after") == [5, 2, -1]


def test_unknown_symbols_and_broken_shares_raise_in_the_strategy():
    session = day()
    for wrong in (lambda b: b.order("Z", 1), lambda b: b.target("A", 1.5), lambda b: b.order("A", math.nan)):
        with pytest.raises(ValueError, match=r"was 'Z'|was 1.5|NaN"):
            play([session], [bar(session, 0, 10.0)], Script({("A", 0): wrong}))


def test_refusals_and_reservations():
    session = day()
    bars = [bar(session, m, 10.0, symbol=s) for m in range(5) for s in "AB"]
    power = []
    steps = {
        ("B", 0): lambda b: (
            b.order("A", 0),  # 1: nothing asked
            b.order("A", 60),  # 2: reserves 600 of 1000
            b.order("B", 41),  # 3: 410 of the 400 left
            power.append(b.buying_power),
            b.order("B", -40),  # 4: a short reserves as well
            b.order("B", 1),  # 5: from 0 held now, 1 opens
            b.cancel(4),
            power.append(b.buying_power),
        ),
        ("B", 1): lambda b: (
            b.order("A", -60),  # 6: a reduction is never refused
            b.order("A", -101),  # 7: 6 leaves nothing to reduce, 101 would open against 1000 - 600 = 400
            b.cancel(6),
            b.order("A", -101),  # 8: 41 would open: cut to -60
            power.append(b.buying_power),
            b.target("A", -41),  # 9: cancels 8, refused again, cut to a target of 0
        ),
        ("B", 2): lambda b: power.append(b.buying_power),
    }
    script = Script(steps)
    result = play([session], bars, script)
    assert column(sorted(result.orders, key=lambda r: r["id"]), "id", "status", "reason", "shares", "level") == [
        (1, "rejected", "zero_shares", 0, None),
        (2, "filled", "", 60, None),
        (3, "rejected", "buying_power", 41, None),
        (4, "cancelled", "cancelled", -40, None),
        (5, "rejected", "buying_power", 1, None),
        (6, "cancelled", "cancelled", -60, None),
        (7, "rejected", "buying_power", -101, None),
        (8, "cancelled", "retargeted", -60, None),
        (9, "filled", "buying_power", -60, 0),
    ]
    assert power == [400.0, 400.0, 400.0, 1000.0]
    assert column(result.fills, "order_id", "shares") == [(2, 60), (9, -60)]
    assert (8, "open", "buying_power") in script.told  # cut, and told


def test_leverage():
    session = day()
    bars = [bar(session, 0, 10.0), bar(session, 1, 10.0), bar(session, 2, 10.0)]
    for leverage, status in ((1.0, "rejected"), (2.0, "filled"), (0.0, "filled")):
        result = play([session], bars, Script({("A", 0): lambda b: b.order("A", 200)}), leverage=leverage)
        assert column(result.orders, "status") == [status]


def test_a_symbol_that_has_shown_no_bar_needs_nothing():
    session = day()
    script = Script(start=lambda s, b: b.order("A", 10**6))
    result = play([session], [bar(session, 3, 10.0)], script)
    assert column(result.fills, "shares") == [10**6]
    assert column(result.equity, "cash")[-1] == 1000.0 - 10**7  # the match does not check again


def test_quality_gates_what_opens():
    session = day()
    bars = [bar(session, m, 10.0) for m in (0, 3, 4, 5, 6, 7)]
    # as of now: minute 0 100, minute 3 2/4 = 50, minute 4 60, minute 7 75
    steps = {
        ("A", 0): lambda b: b.order("A", 3),  # 1 of the 4 minutes have passed: not judged
        ("A", 3): lambda b: (
            b.order("A", 1),
            b.order("A", -1),
            b.order("A", -4),
        ),  # refused, reduces, cut to what that leaves
        ("A", 4): lambda b: b.order("A", -1),  # from flat, which opens: 60 is not below 60
    }
    result = play([session], bars, Script(steps), gate=o.Gate(60.0, 4))
    assert column(result.orders, "status", "reason", "shares") == [
        ("filled", "", 3),
        ("rejected", "quality", 1),
        ("filled", "", -1),
        ("filled", "quality", -2),
        ("filled", "", -1),
    ]


def test_exit_at_close():
    session = day()
    bars = [bar(session, m, 10.0 + m, 10.5 + m) for m in (0, 1, 6)] + [bar(session, 0, 5.0, symbol="B")]
    steps = {
        ("A", 0): lambda b: (b.order("A", 10), b.exit_at_close("A"), b.exit_at_close("A"), b.exit_at_close("B")),
        ("A", 6): lambda b: b.order("A", 5, tif="gtc"),
    }
    result = play([session], bars, Script(steps), slippage_bps=100.0, commission_per_share=0.01)
    assert column(sorted(result.orders, key=lambda r: r["id"]), "id", "symbol", "type", "status", "reason") == [
        (1, "A", "market", "filled", ""),
        (2, "A", "exit_at_close", "filled", ""),
        (3, "B", "exit_at_close", "cancelled", "flat"),
        (4, "A", "market", "cancelled", "exit_at_close"),
    ]
    # the last bar is minute 6, known at its end, 3 minutes before the close: 16.50 less 1 %
    close = o.instant(session.close)
    assert column(result.fills, "time", "shares", "price", "stale_minutes")[1] == (close, -10, 16.335, 3)
    # bought at 11 + 1 % = 11.11: 52.25 gross, 0.20 costs; the last row of equity has the exit
    assert column(result.trades, "gross_pnl", "net_pnl", "exit_reason") == [(52.25, 52.05, "exit_at_close")]
    assert result.equity[-1]["equity"] == 1052.05
    assert not result.positions


@pytest.mark.parametrize(
    ("rows", "price", "stale"),
    [
        ([("2024-01-02 10:10", 20.0)], 20.0, 0),  # a closing print
        ([("2024-01-02 10:10", 20.0), ("2024-01-02 10:11", 21.0)], 20.0, 0),  # after the close by reason, all the same
        ([("2024-01-02 10:11", 21.0)], 12.0, 7),  # nothing stamped at the close
        ([("2024-01-02 10:10", math.nan)], 12.0, 7),  # unsound
    ],
)
def test_exit_at_the_closing_print(rows, price, stale):
    session = day()
    bars = [bar(session, m, 10.0 + m) for m in range(3)] + [raw(when, price=p) for when, p in rows]
    script = Script({("A", 0): lambda b: (b.order("A", 1), b.exit_at_close())})
    result = play([session], bars, script, close_price="closing_print")
    assert column(result.fills, "price", "stale_minutes")[1] == (price, stale)
    assert [r.close for r in script.rows] == [10.0, 11.0, 12.0]


def test_exit_at_close_without_a_bar_and_minutes_before():
    days = [day(D1), day(D2)]
    bars = [bar(days[0], m, 10.0) for m in (0, 1)] + [bar(days[1], 0, 10.0, symbol="B")]
    steps = {(D1, "A", 0): lambda b: b.order("A", 1), (D2, "B", 0): lambda b: b.exit_at_close("A")}
    result = play(days, bars, Script(steps))
    assert column(result.orders, "status", "reason") == [("filled", ""), ("expired", "no_bar")]
    assert column(result.positions, "session", "shares") == [(D1, 1), (D2, 1)]

    session = days[0]
    bars = [bar(session, m, 10.0 + m) for m in (0, 1, 6, 8)] + [bar(session, m, 5.0, symbol="B") for m in (0, 1, 6)]
    steps = {("B", 0): lambda b: (b.order("A", 1), b.order("B", 1), b.exit_at_close(minutes_before=3))}
    result = play([session], bars, Script(steps))
    # from minute 7 on: A's next bar is minute 8, B has none and falls back to the close of minute 6
    assert column(result.fills, "symbol", "time", "price", "stale_minutes")[2:] == [
        ("A", o.instant(session.minutes[8]), 18.0, 0),
        ("B", o.instant(session.close), 5.0, 3),
    ]


def test_at_end():
    days = [day(D1), day(D2)]
    bars = [bar(days[0], m, 10.0, symbol=s) for m in (0, 1) for s in "AB"] + [bar(days[1], 4, 12.0, symbol="B")]
    steps = {(D1, "B", 0): lambda b: (b.order("A", 1), b.order("B", 1))}
    marked = play(days, bars, Script(steps))
    closed = play(days, bars, Script(steps), at_end="close")
    assert not marked.trades
    assert column(marked.positions, "session", "symbol") == [(D1, "A"), (D1, "B"), (D2, "A"), (D2, "B")]
    # A has no bar in the last session: its old close, a day and eight minutes before the last one
    assert column(closed.fills, "symbol", "price", "stale_minutes", "tag")[2:] == [
        ("A", 10.0, 1440 + 8, "at_end"),
        ("B", 12.0, 5, "at_end"),
    ]
    assert column(closed.trades, "exit_reason", "gross_pnl") == [("exit_at_close", 0.0), ("exit_at_close", 2.0)]
    assert marked.equity[-1]["equity"] == closed.equity[-1]["equity"] == closed.equity[-1]["cash"] == 1002.0


# ---------------------------------------------------------------------------------------------------- what is shown


def test_rows_come_finest_first_and_bins_at_their_clock_end():
    session = day(D1, "10:00-10:07", early=True)
    bars = [bar(session, m, 10.0 + m, symbol=s) for m, s in [(0, "B"), (0, "A"), (2, "A"), (4, "B"), (5, "A")]]
    fields = ("symbol", "session", "interval", "minute", "minutes_left", "close", "quality", "open_time")
    coarse = o.RowType((*fields, "n_obs", "n_expected", "closed_by"), interval="5m")
    script = Script()
    result = play([session], bars, script, rows=(coarse, o.RowType(fields)))
    shown = [(r.interval, r.symbol, r.minute, r.close) for r in script.rows]
    assert shown == [
        ("1m", "A", 0, 10.0),
        ("1m", "B", 0, 10.0),
        ("1m", "A", 2, 12.0),
        ("1m", "B", 4, 14.0),
        ("5m", "A", 4, 12.0),  # its last minute is missing: visible by the clock all the same
        ("5m", "B", 4, 14.0),
        ("1m", "A", 5, 15.0),
        ("5m", "A", 6, 15.0),  # a step without a bar, at the close
    ]
    last = script.rows[-1]
    assert (last.n_obs, last.n_expected, last.closed_by, last.minutes_left) == (1, 2, "early_close", 0)
    assert (last.quality, last.open_time) == (100 * 3 / 7, session.minutes[5])
    assert result.iterations == 5
    assert result.bars == 5


def test_rows_are_withheld_while_a_field_warms_up_but_still_fill_and_mark():
    session = day()
    bars = [bar(session, m, 10.0 + m) for m in range(4)]
    mean = {"mean": o.sma("close", 3)}
    needs = o.RowType((*ROW.fields, "mean"), mean)
    allows = o.RowType((*ROW.fields, "mean"), mean, frozenset({"mean"}))
    script = Script(start=lambda s, b: b.order("A", 1))
    result = play([session], bars, script, rows=(needs,))
    assert [r.mean for r in script.rows] == [11.0, 12.0]
    assert result.guards == {(D1, "A", "warming_up: mean"): 2}
    assert column(result.equity, "equity")[:3] == [1000.0, 1001.0, 1002.0]
    script = Script()
    play([session], bars, script, rows=(allows,))
    assert [r.mean for r in script.rows] == [None, None, 11.0, 12.0]


def test_the_cross_section():
    session = day()
    bars = [bar(session, m, 10.0 + m, symbol=s) for m, s in [(0, "A"), (0, "C"), (2, "C")]]
    seen = []

    class Across:
        def on_minute(self, rows, book):
            seen.append(rows)
            book.target("C", 2)

    play([session], bars, Across(), rows=(o.RowType(("symbol", "close")),))
    first, second = seen
    assert first.symbol == ("A", "C")
    assert (first.fresh, second.fresh) == ([True, True], [False, True])
    assert first.close == [10.0, 10.0]
    assert math.isnan(second.close[0])
    assert second.close[1] == 12.0
    assert (first.position, second.position) == ([0, 0], [0, 2])
    assert (first.age, second.age) == ([0, 0], [2, 0])
    assert second.take(second.fresh).symbol == second.take([1]).symbol == ("C",)
    assert second.take([1, 0]).matrix("close", "age")[0] == [12.0, 0.0]


def test_strategies_take_turns_with_their_own_ledgers():
    session = day()
    bars = [bar(session, m, 10.0) for m in range(3)]
    calls = []

    class Turn:
        def __init__(self, name):
            self.name = name

        def on_bar(self, row, book):
            calls.append((row.minute, self.name))
            book.target("A", 1)
            book.record(minute=row.minute)
            book.log("seen", minute=row.minute)

    pair = [o.Strategy("z", Turn("z"), (ROW,), 500.0), o.Strategy("a", Turn("a"), (ROW,))]
    result = o.Backtest([session], bars, pair, zone="UTC").run()
    assert calls == [(0, "z"), (0, "a"), (1, "z"), (1, "a"), (2, "z"), (2, "a")]
    assert column(result.orders, "id", "strategy") == [(1, "z"), (1, "a")]
    assert column(result.equity, "cash")[-2:] == [490.0, 999_990.0]
    assert len(result.records) == len(result.log) == 6
    assert o.combined(result.equity)[-1]["equity_units"] == o.units(1_000_500.0)


def test_row_types_from_annotated_classes():
    class Minute:
        symbol: str
        close_time: datetime
        fast: float | None

        def __init__(self, **values):
            self.__dict__ = values

    class Five(Minute):
        interval = "5m"

    row_type = o.RowType.of(Minute, {"fast": o.sma("close", 2)})
    assert (row_type.fields, row_type.optional) == (("symbol", "close_time", "fast"), {"fast"})
    assert o.RowType.of(Five).interval == "5m"
    session = day()
    seen = []
    script = type("S", (), {"on_bar": lambda self, row, book: seen.append(row)})()
    play([session], [bar(session, 0, 10.0)], script, rows=(row_type,))
    assert isinstance(seen[0], Minute)
    assert (seen[0].close_time, seen[0].fast) == (o.instant(session.minutes[1]), None)


def test_a_session_without_bars_is_not_shown_and_repeats_the_last_equity():
    days = [day(D1), day(D2), day(D3)]
    bars = [bar(days[i], m, 10.0 + m) for i in (0, 2) for m in range(3)]
    called = []
    steps = {(D1, "A", 0): lambda b: b.order("A", 1), (D1, "A", 2): lambda b: b.order("A", 1, tif="gtc")}
    script = Script(steps, start=lambda s, b: called.append(s), end=lambda s, b: called.append(s))
    result = play(days, bars, script)
    assert (called, result.finish_reason) == ([D1, D1, D3, D3], "end_date")
    assert [r["equity"] for r in result.equity if r["session"] == D2] == [1001.0] * 10  # bought at 11, marked at 12
    assert column(result.sessions, "session", "bars", "iterations") == [(D1, 3, 3), (D2, 0, 0), (D3, 3, 3)]
    assert column(result.fills, "session") == [D1, D3]
    assert column(result.positions, "session", "shares") == [(D1, 1), (D2, 1), (D3, 2)]
    assert play(days, bars[:3], Script()).finish_reason == "no_more_data"
    late = play(
        days[:2], [*bars[:3], raw("2024-01-03 09:00")], Script()
    )  # a row before its open: reached, without bars
    assert (late.finish_reason, len(late.equity)) == ("end_date", 20)


def test_stop_ends_the_run_after_the_minute():
    days = [day(D1), day(D2)]
    bars = [bar(d, m, 10.0) for d in days for m in range(4)]
    ended = []
    steps = {
        ("A", 0): lambda b: (b.order("A", 1), b.exit_at_close("A")),
        ("A", 2): lambda b: (b.order("A", 1), b.stop("enough")),
    }
    script = Script(steps, end=lambda s, b: ended.append(s))
    result = play(days, bars, script, at_end="close")
    assert (result.finish_reason, len(script.rows), ended) == ("stopped", 3, [])
    assert column(result.equity, "time") == [o.instant(days[0].minutes[m + 1]) for m in range(3)]
    assert column(result.orders, "id", "status") == [(1, "filled"), (2, "open"), (3, "open")]  # nothing is closed
    assert column(result.positions, "shares") == [1]
    at_start = play(days, bars, Script(start=lambda s, b: b.stop("no")))
    assert (at_start.iterations, at_start.equity, at_start.finish_reason) == (0, [], "stopped")
    script = Script(end=lambda s, b: (b.order("A", 1), b.stop("done")))  # at the close: the session is whole
    result = play(days, bars, script)
    assert (len(result.equity), result.iterations) == (10, 4)
    assert column(result.orders, "status", "reason") == [("expired", "no_bar")]


def test_a_target_leaves_a_standing_exit_alone():
    session = day()
    bars = [bar(session, m, 10.0) for m in range(4)]
    steps = {
        ("A", 0): lambda b: (b.order("A", 3), b.exit_at_close("A")),
        ("A", 1): lambda b: b.target("A", 3),  # held, and the exit does not count as a live order
        ("A", 2): lambda b: b.target("A", 5),
    }
    result = play([session], bars, Script(steps))
    assert column(sorted(result.orders, key=lambda r: r["id"]), "type", "status") == [
        ("market", "filled"),
        ("exit_at_close", "filled"),
        ("target", "filled"),
    ]
    assert column(result.fills, "shares") == [3, 2, -5]


def test_the_close_in_its_order():
    session = day()
    bars = [bar(session, m, 10.0) for m in range(3)]
    seen = []
    script = Script(
        {("A", 0): lambda b: (b.order("A", 2), b.exit_at_close("A")), ("A", 2): lambda b: b.order("A", 1)},
        fill=lambda f, b: seen.append(("fill", f.order_id)) or (b.order("A", 1) if f.shares < 0 else None),
        order=lambda t, b: seen.append((t.id, t.status, t.reason)),
        end=lambda s, b: seen.append(("end", b.order("A", 7), len(b.open_orders()))),
    )
    play([session], bars, script)
    assert seen == [
        ("fill", 1),
        ("fill", 2),  # the exit; it orders again (4), which is after the close
        (3, "cancelled", "exit_at_close"),
        (4, "expired", "no_bar"),
        ("end", 5, 1),
        (5, "expired", "no_bar"),
    ]


def test_exit_at_close_of_everything_is_decided_when_it_acts():
    session = day()
    bars = [bar(session, m, 10.0) for m in range(9)]
    steps = {
        ("A", 0): lambda b: (b.order("A", 1), b.exit_at_close(minutes_before=3)),
        ("A", 7): lambda b: b.order("A", 2),
    }
    result = play([session], bars, Script(steps))
    exits = [r for r in result.orders if r["type"] == "exit_at_close"]
    # once at close - 3; what is held again at the close is closed there
    assert column(exits, "id", "symbol", "decided_at") == [
        (2, "", o.instant(session.minutes[1])),
        (3, "A", o.instant(session.minutes[7])),
        (5, "A", o.instant(session.close)),
    ]
    assert [r["reason"] for r in exits] == ["split", "", ""]
    assert column(result.fills, "shares", "time") == [
        (1, o.instant(session.minutes[1])),
        (-1, o.instant(session.minutes[7])),
        (2, o.instant(session.minutes[8])),
        (-2, o.instant(session.close)),
    ]
    assert column(result.fills, "stale_minutes")[-1] == 1


def test_minutes_held_are_minutes_of_session():
    days = [day(D1, "10:00-10:05", "11:00-11:05"), day(D2, "10:00-10:05", "11:00-11:05")]
    bars = [bar(d, m, 10.0) for d in days for m in range(10)]
    steps = {(D1, "A", 2): lambda b: b.order("A", 1), (D2, "A", 5): lambda b: b.order("A", -1)}
    result = play(days, bars, Script(steps))
    assert column(result.trades, "minutes_held") == [7 + 6]  # from minute 3 of 10 to minute 6 of the next session


def test_a_run_may_have_history_before_its_start():
    days = [day(D1), day(D2)]
    bars = [bar(d, m, 10.0 + m) for d in days for m in (0, 1)] + [raw("2024-01-02 09:00"), raw("2024-01-03 09:00")]
    script = Script()
    row = o.RowType((*ROW.fields, "mean"), {"mean": o.sma("close", 3)})
    backtest = o.Backtest(days, bars, [o.Strategy("s", script, (row,))], zone="UTC", start=D2)
    result = backtest.run()
    assert [r.mean for r in script.rows] == [31 / 3, 32 / 3]
    assert result.guards == {(D2, "A", "before_open"): 1}


# ------------------------------------------------------------------------------------------------------------ metrics


def test_metrics():
    days = [day(D1 + timedelta(days=i)) for i in range(3)]
    bars = []
    for d, prices in zip(days, ((10.0, 10.0, 12.0), (12.0, 9.0, 9.0), (9.0, 13.0, 15.0)), strict=True):
        bars += [bar(d, m, p) for m, p in enumerate(prices)]
    result = play(days, bars, Script(start=lambda s, b: b.target("A", 50)))
    found = o.metrics(result, 252)
    # 50 bought at 10: equity 1000 1000 1100 | 1100 950 950 | 950 1150 1250
    assert found.net_pnl == 250.0
    assert found.total_return == 0.25
    assert found.max_drawdown == -150 / 1100
    assert max_drawdown(100, [90, 95]) == -0.1  # the peak begins at cash
    returns = [0.1, 950 / 1100 - 1, 1250 / 950 - 1]
    mean = sum(returns) / 3
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 2)
    assert found.sharpe == pytest.approx(mean / deviation * math.sqrt(252), rel=1e-12)
    assert (found.trades, found.hit_rate, found.profit_factor) == (0, None, None)


def test_trade_statistics():
    session = day()
    bars = [bar(session, m, p) for m, p in enumerate((10.0, 10.0, 12.0, 12.0, 11.0, 11.0))]
    steps = {
        ("A", 0): lambda b: b.order("A", 1),
        ("A", 1): lambda b: b.order("A", -1),
        ("A", 2): lambda b: b.order("A", 1),
        ("A", 3): lambda b: b.order("A", -1),
    }
    found = o.metrics(play([session], bars, Script(steps)), 252)
    assert (found.trades, found.hit_rate, found.profit_factor, found.avg_trade) == (2, 0.5, 2.0, 0.5)


# ------------------------------------------------------------------------------------- whole runs against other arithmetic


def made_up_market(seed, sessions=40, symbols=("A", "B")):
    """Days of 390 minutes (every tenth a half day) and bars in whole cents on a random walk, 1 % of the minutes missing."""
    rng = random.Random(seed)
    days, bars = [], []
    cents = dict.fromkeys(symbols, 2000)
    for i in range(sessions):
        half = i % 10 == 9
        days.append(day(D1 + timedelta(days=i), "14:30-18:00" if half else "14:30-21:00", early=half))
        last = len(days[-1].minutes) - 1
        for symbol in symbols:
            for m, t in enumerate(days[-1].minutes):
                first = cents[symbol] + rng.choice((-1, 0, 0, 1))
                cents[symbol] = max(1000, first + rng.randint(-2, 2))
                if m in (0, last - 1, last) or rng.random() >= 0.01:
                    o_, c = first / 100, cents[symbol] / 100
                    bars.append(o.Bar(symbol, t, o_, max(o_, c), min(o_, c), c, rng.randint(1, 500)))
    return days, bars


class Cross:
    """Long 100 while fast is above slow; on a tie what is held stays; flat from `flat_us` on."""

    def __init__(self, flat_us):
        self.flat_us = flat_us

    def on_bar(self, row, book):
        if row.open_time >= self.flat_us:
            book.target(row.symbol, 0)
        elif row.fast is not None and row.slow is not None and row.fast != row.slow:
            book.target(row.symbol, 100 if row.fast > row.slow else 0)


def run_cross(days, bars, fast, slow):
    row = o.RowType(("symbol", "open_time", "fast", "slow"), {"fast": fast, "slow": slow}, frozenset({"fast", "slow"}))
    backtest = o.Backtest(
        days,
        bars,
        [o.Strategy("cross", Cross(days[-1].minutes[-2]), (row,))],
        zone="UTC",
        execution=o.Execution(time_in_force="gtc", commission_per_share=0.005),
        account=o.Account(1e9),
    )
    result = backtest.run()
    found = o.metrics(result, 252)
    return found.trades, found.net_pnl_units, len(result.fills)


def by_hand(bars, days, wants):
    """Round trips, exact net P&L in units and fills of `wants(bars of one symbol)`, filled at the next open."""
    trips, units, fills = 0, 0, 0
    for symbol in sorted({b.symbol for b in bars}):
        mine = [b for b in bars if b.symbol == symbol]
        held = 0
        for (at, wanted), following in zip(wants(mine), mine[1:], strict=False):
            want = 0 if at >= days[-1].minutes[-2] else wanted
            if want != held:
                units -= (want - held) * 100 * round(following.open * 100) * 10**6 + 50 * 10**6
                trips += want == 0
                fills += 1
                held = want
    return trips, units, fills


def sma_wants(bars):
    cents = [round(b.close * 100) for b in bars]
    want = 0
    for i, b in enumerate(bars):
        if i >= 29:
            difference = 3 * sum(cents[i - 9 : i + 1]) - sum(cents[i - 29 : i + 1])
            want = want if difference == 0 else int(difference > 0)
        yield b.time_us, want


def bins_wants(bars):
    """5 closes of 5m bins against 5 of 15m bins; a bin's last close counts once its clock time is over."""
    want = 0
    closes = {5: {}, 15: {}}
    for b in bars:
        minute = b.time_us // o.MINUTE  # sessions open at half past: bins of the epoch are bins of the session
        for k, of in closes.items():
            of[minute // k] = round(b.close * 100)
        known = {k: [c for at, c in of.items() if (at + 1) * k <= minute + 1][-5:] for k, of in closes.items()}
        if len(known[5]) == len(known[15]) == 5:
            difference = sum(known[5]) - sum(known[15])
            want = want if difference == 0 else int(difference > 0)
        yield b.time_us, want
        for k, of in closes.items():
            closes[k] = dict(list(of.items())[-7:])


def test_sma_cross_equals_integer_cents():
    days, bars = made_up_market(1)
    expected = by_hand(bars, days, sma_wants)
    assert expected[0] > 300
    assert run_cross(days, bars, o.sma("close", 10), o.sma("close", 30)) == expected


def test_multi_interval_cross_equals_integer_cents():
    days, bars = made_up_market(2)
    expected = by_hand(bars, days, bins_wants)
    assert expected[0] > 100
    assert run_cross(days, bars, o.sma("close", 5, interval="5m"), o.sma("close", 5, interval="15m")) == expected


# -------------------------------------------------------------------------------------------------- real files, if here


def test_spy_2024_guards(shared_data):
    folder = shared_data / "us-equity-spy-2024"
    with (folder / "coverage.csv").open() as file:
        table = list(csv.DictReader(file))
    days = []
    for row in table:
        half = row["early_close"] in ("1", "True")
        hours = "09:30-13:00" if half else "09:30-16:00"
        days.append(o.regular_day(date.fromisoformat(row["date"]), NEW_YORK, hours, early_close=half))
    found = o.classify(o.load_parquet(sorted(folder.glob("*.parquet"))), days, NEW_YORK)
    late = {d: n for (d, _, reason), n in found.withheld.items() if reason == "after_close"}
    assert late == {date(2024, 7, 3): 139, date(2024, 11, 29): 135}
    assert sum(n for (_, _, reason), n in found.withheld.items() if reason == "closing_print") == 171
    assert sum(found.withheld.values()) == 139 + 135 + 171
    for row, session in zip(table, days, strict=True):
        present, expected, *_ = o.quality(session, found.accepted[session.name]["SPY"])
        assert (present, expected) == (int(row["rth_present"]), int(row["rth_expected"]))
