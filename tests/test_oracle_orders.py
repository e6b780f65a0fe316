"""Laws of decision 0028 on the oracle alone: what must hold of any order in any market, whatever the rules are in detail."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from typing import Any

import oracle as o
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle.account import RESTING, Commission, Order, units
from oracle.bar import Filled, Outcome, Prices, Standing, Terms, both_paths, chosen, fills_at
from order_worlds import KINDS, OrderRun, order_runs

THOROUGHNESS = float(os.environ.get("BT_PROPS", "0.4"))


def law(examples: int) -> settings:
    """`examples` times `THOROUGHNESS`."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(deadline=None, max_examples=max(int(examples * THOROUGHNESS), 1), suppress_health_check=slow)


# ------------------------------------------------------------------------------------------------- one bar, two paths

TICKS = st.integers(90, 110)


@st.composite
def prices(draw: st.DrawFn) -> Prices:
    """A bar of whole units."""
    first, last = draw(TICKS), draw(TICKS)
    high = max(first, last) + draw(st.integers(0, 5))
    low = min(first, last) - draw(st.integers(0, 5))
    return Prices(first, high, low, last, 0)


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    """Up to five orders of any type that waits for a price, some with legs that wait, some in groups, and what is held."""
    held = draw(st.integers(-20, 20))
    orders: list[Order] = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(("limit", "stop", "stop_limit", "trailing_stop")))
        shares = draw(st.integers(-15, 15).filter(bool))
        made = blank(len(orders) + 1, kind, shares, held)
        made.limit = draw(TICKS) if kind in ("limit", "stop_limit") else None
        made.stop = draw(TICKS) if kind in ("stop", "stop_limit") else None
        if kind == "trailing_stop":
            made.trail, made.extreme = draw(st.integers(1, 8)), draw(TICKS)
        made.group_number = draw(st.sampled_from((0, 0, 101, 102)))
        orders.append(made)
        if draw(st.booleans()):
            level, width = draw(TICKS), draw(st.integers(1, 8))
            legs = {"stop_loss": ("stop", level - made.side * width), "take_profit": ("limit", level + made.side * width), "trailing_loss": ("trail", width)}  # fmt: skip
            for leg_kind, (name, price) in legs.items():
                if draw(st.booleans()):
                    leg = replace(blank(len(orders) + 1, leg_kind, -made.side, held), shares=None)
                    setattr(leg, name, price)
                    leg.waiting, leg.reduces, leg.parent = True, True, made.id
                    orders.append(leg)
    room = draw(st.none() | st.integers(0, 25))
    commission = draw(
        st.sampled_from((Commission(), Commission(0.00000003), Commission(0.00000001, 0.00000009, 0.00000002)))
    )
    return Standing(held, orders, room, Terms(draw(st.sampled_from(("trade_through", "touch"))), commission=commission))


def blank(id: int, kind: str, shares: int, held: int) -> Order:
    side = 1 if shares > 0 else -1
    reduces = shares * held < 0 and abs(shares) <= abs(held)
    return Order(id, "A", kind, shares, None, "day", "", None, 0, side=side, reduces=reduces)


def fills_of(outcome: Outcome) -> list[Filled]:
    return [e for e in outcome.standing.events if isinstance(e, Filled)]


@law(400)
@given(standings(), prices())
def test_a_path_keeps_the_laws_of_orders(standing: Standing, bar: Prices) -> None:
    given_ = {x.id: x for x in standing.copied().orders}
    for outcome in both_paths(standing, bar):
        held, whole = standing.held, defaultdict(int)
        for fill in fills_of(outcome):
            made = given_[fill.order.id]
            assert bar.low <= fill.reference <= bar.high
            if made.limit is not None:
                assert fill.price == fill.reference
                assert made.side * fill.price <= made.side * made.limit
            if made.reduces:
                assert fill.shares * held < 0
                assert abs(fill.shares) <= abs(held)
            held += fill.shares
            whole[fill.order.id] += abs(fill.shares)
        assert held == outcome.standing.held
        for after in outcome.standing.orders:
            assert abs(after.filled) == whole[after.id]
            assert whole[after.id] <= abs(after.shares or 0)
            assert (after.status == "filled") == (after.shares is not None and after.left == 0)
        if standing.room is not None:
            assert sum(whole.values()) <= standing.room
        assert outcome.worth == sum(-f.shares * f.price - f.commission for f in fills_of(outcome)) + held * bar.close


@law(200)
@given(standings(), prices())
def test_the_pessimistic_path_is_never_worth_more(standing: Standing, bar: Prices) -> None:
    low, high = both_paths(standing, bar)
    worse, rest = chosen(low, high, "pessimistic")
    better, _ = chosen(low, high, "optimistic")
    assert worse.worth <= rest.worth
    assert worse.worth <= better.worth
    assert (worse is better) == (low.worth == high.worth)
    assert low.worth != high.worth or worse is low


MIRROR = 200
"""Prices p become 200 - p."""


def mirrored(standing: Standing) -> Standing:
    """Every share on the other side, every price on the other side of 100."""
    other = standing.copied()
    other.held = -standing.held
    for made in other.orders:
        made.side = -made.side
        made.shares = None if made.shares is None else -made.shares
        for name in ("limit", "stop", "extreme"):
            price = getattr(made, name)
            setattr(made, name, None if price is None else MIRROR - price)
    return other


@law(300)
@given(standings(), prices())
def test_the_mirror_image_of_a_bar_fills_the_mirror_image(standing: Standing, bar: Prices) -> None:
    """Low first of the one is high first of the other."""
    there = Prices(MIRROR - bar.open, MIRROR - bar.low, MIRROR - bar.high, MIRROR - bar.close, 0)
    paths, images = both_paths(standing, bar), both_paths(mirrored(standing), there)
    for path, image in zip(paths, reversed(images), strict=True):
        told = [(f.order.id, -f.shares, MIRROR - f.reference) for f in fills_of(path)]
        assert told == [(f.order.id, f.shares, f.reference) for f in fills_of(image)]
        ends = [[(x.id, x.status, x.reason, x.waiting, x.triggered) for x in p.standing.orders] for p in (path, image)]
        assert ends[0] == ends[1]
        assert path.worth - image.worth == MIRROR * standing.held


@law(300)
@given(
    st.sampled_from(("limit", "stop", "stop_limit")), st.sampled_from((1, -1)), TICKS, TICKS, prices(), st.booleans()
)
def test_one_order_alone_in_a_bar(kind: str, side: int, one: int, other: int, bar: Prices, touch: bool) -> None:
    """A closed form: of a buy, with a sell as its mirror image."""
    made = blank(1, kind, 10 * side, 0)
    made.limit = one if kind != "stop" else None
    made.stop = other if kind != "limit" else None
    terms = Terms("touch" if touch else "trade_through")
    found = bar.open if fills_at(made, bar.open) else None
    if found is None:
        paths = [[f.reference for f in fills_of(x)] for x in both_paths(Standing(0, [made], None, terms), bar)]
    else:
        paths = [[found]] * 2
    lowest, highest = (bar.low, bar.high) if side > 0 else (-bar.high, -bar.low)
    first, last, limit, stop = (side * x for x in (bar.open, bar.close, one, other))

    def through(low: int) -> bool:
        return low < limit or (touch and low == limit)

    if kind == "limit":
        expected = [first if first <= limit else limit if through(lowest) else None] * 2
    elif kind == "stop":
        expected = [first if first >= stop else stop if highest >= stop else None] * 2
    else:
        at = max(first, stop)
        if highest < at:
            expected = [None, None]
        elif at <= limit:
            expected = [at, at]
        else:  # the price must come back: to the low of the bar where that is behind the stop, else to the close
            low_after = lowest if first >= stop else last
            expected = [limit if through(x) else None for x in (low_after, lowest)]
            if side < 0:
                expected.reverse()
    assert paths == [[] if x is None else [side * x] for x in expected]


# ----------------------------------------------------------------------------------------------------------- whole runs


def chronological(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda r: r["time"])


@law(60)
@given(order_runs)
def test_cash_and_positions_explain_every_fill(run: OrderRun) -> None:
    backtest, result, _ = run.judged()
    (book,) = backtest.books
    cash, held = result.cash_units["strategy"], defaultdict(int)
    for fill in result.fills:
        assert fill["shares"] != 0
        cash -= fill["shares"] * fill["price_units"] + fill["commission_units"]
        held[fill["symbol"]] += fill["shares"]
    moved = sum(row["amount_units"] for row in result.cash)
    cash += moved
    assert cash == book.ledger.cash
    assert {s: n for s, n in held.items() if n} == {s: p.shares for s, p in book.ledger.positions.items()}
    for row in result.equity:
        assert row["equity_units"] == row["cash_units"] + row["net_units"]
    if result.equity:
        marks = backtest.present.marks
        assert result.equity[-1]["cash_units"] == cash
        assert result.equity[-1]["net_units"] == sum(n * marks[s] for s, n in held.items() if n)
    closed = sum(t["gross_pnl_units"] - t["costs_units"] for t in result.trades)
    still = sum(p.realized + p.unrealized(backtest.present.marks[s]) - p.commission for s, p in book.ledger.positions.items())  # fmt: skip
    assert result.net_pnl_units == closed + still + moved


@law(60)
@given(order_runs)
def test_no_order_fills_more_or_elsewhere_than_it_may(run: OrderRun) -> None:
    backtest, result, _ = run.judged()
    (book,) = backtest.books
    fills: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for fill in chronological(result.fills):
        fills[fill["order_id"]].append(fill)
    for made in book.orders:
        own = fills[made.id]
        assert made.filled == sum(f["shares"] for f in own)
        if made.type not in ("target", "exit_at_close"):
            assert all(f["shares"] * made.side > 0 for f in own)
            assert abs(made.filled) <= abs(made.shares or 0)
            assert (made.status == "filled") == (made.shares not in (None, 0) and made.left == 0)
        if made.tif == "day" and made.type not in ("market_on_open", "market_on_close"):
            assert {f["session"] for f in own} <= {made.session}
        if made.tif == "ioc":
            assert made.status in ("filled", "cancelled", "rejected")
        if made.limit is not None:
            assert all(made.side * f["price_units"] <= made.side * made.limit for f in own)
        if made.reduces:
            for f in own:
                before = f["position_after"] - f["shares"]
                assert before * f["shares"] < 0
                assert abs(f["shares"]) <= abs(before)
        if made.parent is not None and own:
            opened = [f["time"] for x in book.orders[: made.id] for f in fills[x.id] if x.symbol == made.symbol]
            assert min(opened) <= own[0]["time"]
        assert not made.waiting or not own or made.status == "cancelled"
    for _, group in groupby(sorted(book.orders, key=lambda x: x.group), key=lambda x: x.group):
        assert sum(x.status == "filled" for x in group) <= 1
    by_parent = sorted((x for x in book.orders if x.parent is not None), key=lambda x: x.parent or 0)
    for _, group in groupby(by_parent, key=lambda x: x.parent):
        assert sum(x.status == "filled" for x in group) <= 1


@law(60)
@given(order_runs)
def test_a_fill_is_at_a_price_of_its_bar_and_within_its_room(run: OrderRun) -> None:
    backtest, result, _ = run.judged()
    bars = {(b.symbol, b.time_us): b for b in run.world.rows}
    used: dict[tuple[str, int], int] = defaultdict(int)
    skip, part = run.execution["zero_volume"] == "skip", Fraction(str(run.execution["participation"]))
    closes = {o.instant(d.close) for d in backtest.days}
    resting = {x.id for x in backtest.books[0].orders if x.type in RESTING}
    for fill in result.fills:
        at, symbol = o.micros(fill["time"]), fill["symbol"]
        opened = bars.get((symbol, at))
        ended = bars.get((symbol, at - (fill["stale_minutes"] + 1) * o.MINUTE))
        reference = fill["reference_price_units"]
        in_it = opened is not None and units(opened.low) <= reference <= units(opened.high)
        at_its_end = ended is not None and units(ended.close) == reference
        assert in_it or at_its_end or fill["time"] in closes
        if fill["bar_share"] is None and not in_it and not at_its_end:
            assert fill["time"] in closes
        if run.execution["fill"] == "next_open" and fill["time"] not in closes:
            assert in_it
            assert opened is not None
            assert not skip or opened.volume > 0
            used[symbol, at] += abs(fill["shares"])
        if run.execution["fill"] == "next_close" and fill["order_id"] in resting and not in_it:
            assert at_its_end  # what a stop became
    if part and run.execution["fill"] == "next_open":
        for key, shares in used.items():
            assert shares <= int(part * int(bars[key].volume))


@law(60)
@given(order_runs)
def test_ambiguous_bars_are_those_whose_fills_are_marked(run: OrderRun) -> None:
    _, result, _ = run.judged()
    bars = {(row["symbol"], row["time"]) for row in result.ambiguous}
    assert len(bars) == len(result.ambiguous)
    assert {(f["symbol"], f["time"]) for f in result.fills if f["ambiguous"]} <= bars
    for row in result.ambiguous:
        sign = 1 if run.execution["intrabar"] == "pessimistic" else -1
        assert sign * row["other_units"] >= 0
    assert (result.net_pnl_other_units - result.net_pnl_units) == sum(row["other_units"] for row in result.ambiguous)
    marked = {(f["symbol"], f["time"]) for f in result.fills if f["ambiguous"]}
    for trade in result.trades:
        ends = {(trade["symbol"], trade["entry_time"]), (trade["symbol"], trade["exit_time"])}
        assert (
            trade["ambiguous"] or not ends & marked or run.execution["fill"] != "next_open" or has_certain(result, ends)
        )


def has_certain(result: o.Result, ends: set[Any]) -> bool:
    """Whether a bar has fills that are not marked beside those that are: a trade may be of them alone."""
    return any(not f["ambiguous"] for f in result.fills if (f["symbol"], f["time"]) in ends)


@law(40)
@given(order_runs)
def test_settings_of_paths_do_not_matter_to_orders_without_a_price(run: OrderRun) -> None:
    plain = tuple(k for k in KINDS if k in ("market", "open", "close", "target", "exit", "cancel"))
    run = replace(run, habits=replace(run.habits, kinds=plain, brackets=0.0))
    _, one, told = run.judged(intrabar="pessimistic", limit_fill="touch")
    _, other, told_ = run.judged(intrabar="optimistic", limit_fill="trade_through")
    assert (one.fills, one.orders, one.equity, told.told) == (other.fills, other.orders, other.equity, told_.told)
    assert one.ambiguous == []


@law(25)
@given(order_runs, st.data())
def test_the_past_ignores_the_future(run: OrderRun, data: st.DataObject) -> None:
    """Bars that open at an instant or later are others: what was filled, decided and told before is the same."""
    minutes = [t for day in run.world.played for t in day.minutes]
    instant = data.draw(st.sampled_from(minutes))
    later = [b._replace(open=b.low, close=b.high, volume=7) if b.time_us >= instant else b for b in run.world.rows]
    told = []
    for world in (run.world, run.world.with_rows(later)):
        _, result, orderer = replace(run, world=world).judged()
        before = o.instant(instant)
        fills = [f for f in result.fills if f["time"] < before]
        given_ = [(r["id"], r["type"], r["limit"], r["stop"], r["trail"]) for r in result.orders if r["decided_at"] < before and r["parent"] is None]  # fmt: skip
        seen = [k for k in orderer.knows if k[0] <= before], [t for t in orderer.told if t[0] < before]
        told.append((fills, given_, seen))
    assert told[0] == told[1]
