"""The laws of columns, sessions and guards (docs/concepts), on random markets: against the oracle, and against themselves.

``just props`` tries many more markets than the default run does.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import oracle as o
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from oracle.metrics import costs_and_capacity, downside, drawdown_minutes, exposures, session_returns, turnover
from order_worlds import one_limit
from polars.testing import assert_frame_equal
from watchers import (
    EQUITY,
    FILLS,
    ORDERS,
    POSITIONS,
    TRADES,
    Alone,
    Dice,
    Habits,
    Trader,
    Watcher,
    assert_same_rows,
    assert_same_table,
    habits,
    intervals,
    judge_types,
    judged,
    refusals,
    replayed,
    watched,
)
from worlds import World, stored, times, worlds

import bt
from bt.errors import ClockError
from bt.model import Clock
from bt.results import ORDER

THOROUGHNESS = float(os.environ.get("BT_PROPS", "0.4"))
"""By what the examples of every law are multiplied; ``just props`` sets 40."""

PHASES = [phase for phase in Phase if phase != Phase.shrink or os.environ.get("BT_PROPS_SHRINK", "1") != "0"]
"""``just mutants`` wants no smallest counterexample."""


def law(examples: int) -> settings:
    """`examples` times `THOROUGHNESS`."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        deadline=None, max_examples=max(int(examples * THOROUGHNESS), 1), suppress_health_check=slow, phases=PHASES
    )


@law(40)
@given(st.data(), worlds())
def test_rows_are_those_of_the_oracle(data: st.DataObject, world: World) -> None:
    kinds, made = data.draw(watched(world))
    ours, theirs = Watcher(kinds, made), Watcher(kinds, made)
    with stored(world) as folder:
        run = replayed(world, folder, ours)
    result = judged(world, o.Strategy("watcher", theirs, judge_types(kinds, made)))
    sizes = {name: m.size for name, m in made.items()} | {"volume": 0.0 if world.whole_volume else 1.0}
    assert_same_rows(ours.seen, theirs.seen, sizes)
    reached = set(run.by_session["session"])
    counted = Counter(
        {tuple(r[:3]): r[3] for r in run.guards.select("session", "symbol", "reason", "rows").iter_rows()}
    )
    assert counted == Counter({k: n for k, n in result.guards.items() if k[0] in reached})
    assert run.summary["bars"] == result.bars
    assert run.summary["iterations"] == result.iterations
    assert_same_quality(world, run, [k.interval for k in kinds])


def assert_same_quality(world: World, run: bt.Run, labels: list[str]) -> None:
    """The quality table of every session that was played."""
    accepted = world.classified().accepted
    table = {(r["session"], r["symbol"], r["interval"]): r for r in run.quality.iter_rows(named=True)}
    played = [d for d in world.played if d.name in set(run.by_session["session"])]
    expected = {(d.name, s, i) for d in played for s in world.symbols for i in labels}
    assert expected <= set(table)
    for day in played:
        for symbol in world.symbols:
            for label in labels:
                row = table[day.name, symbol, label]
                judge = o.quality(day, accepted[day.name].get(symbol, []), label)
                gaps = [(o.micros(g["start"]), o.micros(g["end"]), g["minutes"]) for g in row["gaps"]]
                found = (row["present"], row["expected"], row["quality"], gaps)
                assert found == (judge.present, judge.expected, judge.percent, judge.gaps), (day.name, symbol, label)
                longest = max((g[2] for g in gaps), default=0)
                assert row["longest_gap_minutes"] == longest


# ------------------------------------------------------------------------------------------------ orders and accounts


executions = st.fixed_dictionaries(
    {
        "fill": st.sampled_from(("next_open", "next_open", "next_close", "same_close")),
        "time_in_force": st.sampled_from(("day", "gtc")),
        "slippage_bps": st.sampled_from((0.0, 1.0, 2.5, 33.33)),
        "commission_per_share": st.sampled_from((0.0, 0.005, 0.00000001, 0.0137)),
        "close_price": st.sampled_from(("last_bar", "closing_print")),
        "at_end": st.sampled_from(("mark", "close")),
    }
)
accounts = st.fixed_dictionaries(
    {
        "cash": st.sampled_from((1e6, 3000.0, 500.0, 1e9)),
        "leverage": st.sampled_from((1.0, 0.0, 2.5)),
        "borrow_bps": st.sampled_from((0.0, 0.0, 35.0, 1234.5)),
        "interest_bps": st.sampled_from((0.0, 0.0, 450.0)),
        "debit_bps": st.sampled_from((0.0, 612.5)),
        "margin": st.sampled_from(("none", "none", "reg_t")),
        "margin_call": st.sampled_from(("report", "liquidate")),
    }
).map(one_limit)
gates = st.fixed_dictionaries(
    {"minimum": st.sampled_from((0.0, 0.0, 40.0, 95.0)), "after_minutes": st.sampled_from((0, 1, 30))}
)


class Close(bt.Row):
    symbol: str
    close_time: int
    close: float


class Five(bt.Row):
    interval = "5m"
    symbol: str
    close_time: int


row_types = st.sampled_from(((Close,), (Close, Five), (Five,)))


@law(50)
@given(worlds(sessions=3), habits, row_types, executions, accounts, gates)
def test_random_orders_live_and_fill_as_in_the_oracle(
    world: World,
    how: Habits,
    rows: tuple[type, ...],
    execution: dict[str, Any],
    account: dict[str, Any],
    gate: dict[str, Any],
) -> None:
    how = replace(how, symbols=tuple(world.symbols))
    ours, theirs = Dice(how, rows), Dice(how, rows)
    with stored(world) as folder:
        run = replayed(world, folder, ours, execution=execution, account=account, quality=gate)
    result = judged(
        world, o.Strategy("strategy", theirs, [o.RowType.of(r) for r in rows]),
        execution=o.Execution(**execution), account=o.Account(**account), gate=o.Gate(**gate),
    )  # fmt: skip
    assert ours.knows == theirs.knows
    assert Counter(map(repr, ours.told)) == Counter(map(repr, theirs.told))
    assert_same_table(run, "fills", result.fills, FILLS)
    assert_same_table(run, "orders", result.orders, ORDERS)
    assert_same_table(run, "trades", result.trades, TRADES)
    assert_same_table(run, "positions", result.positions, POSITIONS)
    assert_same_table(run, "equity", result.equity, EQUITY)
    assert run.finish_reason == result.finish_reason


@law(25)
@given(worlds(sessions=3), habits.map(lambda h: replace(h, kinds=("target", "exit"))), executions)
def test_a_target_never_doubles(world: World, how: Habits, execution: dict[str, Any]) -> None:
    strategy = Dice(replace(how, symbols=tuple(world.symbols)), (Close,))
    with stored(world) as folder:
        run = replayed(world, folder, strategy, execution=execution, account={"leverage": 0.0})
    for fill in run.fills.iter_rows(named=True):
        assert abs(fill["position_after"]) <= how.most, fill
    for position in run.positions.iter_rows(named=True):
        assert abs(position["shares"]) <= how.most, position


@law(25)
@given(worlds(sessions=3), st.lists(habits, min_size=2, max_size=3), executions, accounts, gates)
def test_strategies_that_share_their_cash_are_those_of_the_oracle(
    world: World,
    hows: list[Habits],
    execution: dict[str, Any],
    account: dict[str, Any],
    gate: dict[str, Any],
) -> None:
    """In configured order, which is not that of their names."""
    hows = [replace(how, symbols=tuple(world.symbols)) for how in hows]
    ours, theirs = ([Dice(how, (Close,)) for how in hows] for _ in range(2))
    entries = [{"name": name, "use": one} for name, one in zip("bca", ours, strict=False)]
    account = {**account, "shared": True}
    tables = {"execution": execution, "account": account, "quality": gate}
    with stored(world) as folder:
        run = replayed(world, folder, None, strategies=entries, **tables)
    result = judged(
        world, *[o.Strategy(name, one, [o.RowType.of(Close)]) for name, one in zip("bca", theirs, strict=False)],
        execution=o.Execution(**execution), account=o.Account(**account), gate=o.Gate(**gate),
    )  # fmt: skip
    for own, other in zip(ours, theirs, strict=True):
        assert own.knows == other.knows
        assert Counter(map(repr, own.told)) == Counter(map(repr, other.told))
    for name, columns in (
        ("fills", FILLS),
        ("orders", ORDERS),
        ("trades", TRADES),
        ("positions", POSITIONS),
        ("equity", EQUITY),
    ):
        rows = sorted(getattr(result, name), key=lambda r, t=name: tuple(r[k] for k in ORDER[t]))
        assert_same_table(run, name, rows, ("strategy", *columns))
    whole = run.equity.group_by("session", "time").agg(pl.col("cash").sum())
    assert (whole["cash"] <= 2**53).all()
    assert run.summary["equity_start"] == account["cash"]


@law(25)
@given(worlds(sessions=3), habits, row_types, executions, accounts, gates, st.sampled_from((0.0, 700.0, 1e5)))
def test_symbols_of_an_independent_strategy_are_backtests_of_their_own(
    world: World,
    how: Habits,
    rows: tuple[type, ...],
    execution: dict[str, Any],
    account: dict[str, Any],
    gate: dict[str, Any],
    each: float,
) -> None:
    """One run over all symbols is the oracle's runs over one symbol each, put together; and so are our own."""
    ours, theirs = Alone(how, rows), {s: Alone(how, rows) for s in world.symbols}
    tables = {"execution": execution, "quality": gate}
    part = o.units(account["cash"]) // len(world.symbols) / o.UNIT
    with stored(world) as folder:
        run = replayed(world, folder, ours, account={**account, "cash_per_symbol": each}, **tables)
        apart = {s: Alone(how, rows) for s in world.symbols}
        runs = [
            replayed(
                world, folder, apart[s], symbols=[s], account={**account, "cash_per_symbol": each or part}, **tables
            )
            for s in world.symbols
            if any(
                world.schedule.open[world.start] <= r.time_us < world.schedule.close[world.last]
                for r in world.rows
                if r.symbol == s
            )
        ]
    result = o.play_apart(
        world.symbols, lambda s: o.Strategy("strategy", theirs[s], [o.RowType.of(r) for r in rows]), o.Account(**account), each,
        days=world.days, bars=(), classified=world.classified(), zone=world.schedule.zone, start=world.span["start"],
        execution=o.Execution(**execution), gate=o.Gate(**gate),
    )  # fmt: skip
    for symbol in world.symbols:
        assert [k for k in ours.knows if k[1] == symbol] == theirs[symbol].knows
        told = [t for t in ours.told if t[3] == symbol]
        assert Counter(map(repr, told)) == Counter(map(repr, theirs[symbol].told))
    for name, columns in (
        ("fills", FILLS),
        ("orders", ORDERS),
        ("trades", TRADES),
        ("positions", POSITIONS),
        ("equity", EQUITY),
    ):
        assert_same_table(run, name, getattr(result, name), columns)
    assert run.finish_reason == result.finish_reason
    if all(r.by_session.height == run.by_session.height for r in runs):  # the data of each symbol ends with the whole's
        for name in ("fills", "orders", "trades", "positions"):
            together = pl.concat([getattr(r, name) for r in runs]).sort(ORDER[name], maintain_order=True)
            assert_frame_equal(together, getattr(run, name), check_exact=True)
        for one in apart.values():
            assert all(ours.draws[k] == d for k, d in one.draws.items())


@law(20)
@given(worlds(sessions=4), st.lists(habits, min_size=1, max_size=2), executions, accounts, st.booleans())
def test_metrics_are_those_of_the_oracle(
    world: World, hows: list[Habits], execution: dict[str, Any], account: dict[str, Any], shared: bool
) -> None:
    hows = [replace(how, symbols=tuple(world.symbols)) for how in hows]
    ours, theirs = ([Dice(how, (Close,)) for how in hows] for _ in range(2))
    entries = [{"name": name, "use": one} for name, one in zip("ab", ours, strict=False)]
    account = {**account, "shared": shared}
    with stored(world) as folder:
        run = replayed(world, folder, None, strategies=entries, execution=execution, account=account)
    result = judged(
        world, *[o.Strategy(name, one, [o.RowType.of(Close)]) for name, one in zip("ab", theirs, strict=False)],
        execution=o.Execution(**execution), account=o.Account(**account),
    )  # fmt: skip
    a_year = times(world.calendar).sessions_a_year()
    found, judge = run.metrics, o.metrics(result, a_year)
    line = [r["equity_units"] for r in o.combined(result.equity)]
    assume(all(e > 0 for e in line))  # of a ruined account ratios mean nothing (test_metrics)
    assert (found.total_return, found.max_drawdown) == (judge.total_return, judge.max_drawdown)
    assert (found.hit_rate, found.profit_factor) == (judge.hit_rate, judge.profit_factor)
    cash = sum(result.cash_units.values())
    assert found.max_drawdown_minutes == drawdown_minutes(cash, line)
    returns = session_returns(cash, o.combined(result.equity))
    figures = {
        "avg_trade": judge.avg_trade,
        "sharpe": judge.sharpe,
        "sortino": downside(returns, a_year),
        "turnover": turnover(result),
        "exposure_gross": exposures(result)[0],
        "exposure_net": exposures(result)[1],
        "cost_bps": costs_and_capacity(result)[0],
        "capacity": costs_and_capacity(result)[1],
    }
    for name, value in figures.items():  # doubles that are summed, or divided, in another order
        assert getattr(found, name) == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)), name


class EveryMinute:
    """Wants a random level of each symbol at each of its bars, one by one or all at once, and writes down what it wanted last."""

    row = Close

    def __init__(self, seed: int, *, changes: float, together: bool) -> None:
        self.seed, self.changes, self.together = seed, changes, together
        self.wanted: dict[str, list[tuple[Any, int]]] = {}

    def on_bar(self, row: Close, book: bt.Book) -> None:
        if not self.together:
            book.target(row.symbol, self.level(row.symbol, book))

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        if self.together:
            book.targets(rows, shares=[self.level(s, book) for s in rows.symbol])

    def level(self, symbol: str, book: bt.Book) -> int:
        dice = random.Random(repr((self.seed, symbol, str(book.now))))
        before = self.wanted.setdefault(symbol, [])
        level = dice.randint(-20, 20) if not before or dice.random() < self.changes else before[-1][1]
        before.append((book.now, level))
        return level


@law(25)
@given(worlds(sessions=3), st.integers(0, 2**32 - 1), st.sampled_from((0.0, 0.05, 0.5, 1.0)), st.booleans(), executions)
def test_a_target_set_every_minute_never_doubles(
    world: World, seed: int, changes: float, together: bool, execution: dict[str, Any]
) -> None:
    """Whatever gaps, expiries and half days there are, each fill ends at the level that was wanted last."""
    strategy = EveryMinute(seed, changes=changes, together=together)
    with stored(world) as folder:
        run = replayed(world, folder, strategy, execution={**execution, "at_end": "mark"}, account={"leverage": 0.0})
    late = timedelta(minutes=execution["fill"] == "next_close")  # its bar opened a minute before
    for fill in run.fills.iter_rows(named=True):
        wanted = [level for now, level in strategy.wanted[fill["symbol"]] if now <= fill["time"] - late]
        assert fill["position_after"] == wanted[-1], fill
    live = run.orders.filter(pl.col("status") == "open").group_by("symbol").len()
    assert (live["len"] <= 1).all()


# ------------------------------------------------------------------------------------------------------ time and cutting


def everything(run: bt.Run) -> dict[str, pl.DataFrame]:
    return {name: getattr(run, name) for name in TABLES}


TABLES = (
    "fills",
    "orders",
    "trades",
    "equity",
    "positions",
    "cash",
    "quality",
    "guards",
    "by_session",
    "records",
    "log",
)


@law(20)
@given(st.data(), worlds())
def test_cutting_the_work_changes_nothing(data: st.DataObject, world: World) -> None:
    kinds, made = data.draw(watched(world))
    how = replace(data.draw(habits), symbols=tuple(world.symbols))
    runs, seen = [], []
    for days, layout in ((1, "day"), (2, "symbol"), (5, "overlapping"), (30, "unsorted")):
        player = Trader(kinds, made, Dice(how, ()))
        with stored(replace(world, layout=layout)) as folder:
            run = replayed(world, folder, player, prefetch_days=days, execution={"commission_per_share": 0.005})
        runs.append(everything(run))
        seen.append(player.seen)
    for other, rows in zip(runs[1:], seen[1:], strict=True):
        assert rows == seen[0]
        for name in TABLES:
            assert_frame_equal(other[name], runs[0][name], check_exact=True)


@law(20)
@given(st.data(), worlds())
def test_a_later_start_shows_the_same_rows(data: st.DataObject, world: World) -> None:
    kinds, made = data.draw(watched(world))
    early, late = Watcher(kinds, made), Watcher(kinds, made)
    first = data.draw(st.integers(world.start, world.last))
    names = world.schedule.names
    assume(any(world.schedule.open[first] <= r.time_us < world.schedule.close[world.last] for r in world.rows))
    with stored(world) as folder:
        replayed(world, folder, early)
        replayed(world, folder, late, start=names[first])
    assert late.seen == [row for row in early.seen if row[2]["session"] >= names[first]]


@law(25)
@given(st.data(), worlds())
def test_the_past_ignores_the_future(data: st.DataObject, world: World) -> None:
    """Every row that opens at a random instant or later is changed or taken away: what was shown before is the same."""
    kinds, made = data.draw(watched(world))
    how = replace(data.draw(habits), symbols=tuple(world.symbols))
    minutes = [t for day in world.played for t in day.minutes]
    instant = data.draw(st.sampled_from(minutes))
    past = [r for r in world.rows if r.time_us < instant]
    factor, kept = data.draw(st.sampled_from((2, 3))), data.draw(st.sampled_from((0.0, 0.5, 1.0)))
    future = [changed(r, factor, world.decimals) for r in world.rows if r.time_us >= instant]
    other = world.with_rows(past + future[: int(kept * len(future))])
    assume(set(other.symbols) == set(world.symbols))
    first, last = world.played[0].open, world.played[-1].close
    assume(any(first <= r.time_us < last for r in other.rows))  # else there is nothing to replay
    runs, players = [], []
    for one in (world, other):
        players.append(Trader(kinds, made, Dice(how, ())))
        with stored(one) as folder:
            runs.append(replayed(one, folder, players[-1]))
    today = next(day.name for day in world.played if day.open <= instant < day.close)
    shown = [run.by_session.filter(pl.col("bars") > 0, pl.col("session") <= today)["session"].to_list() for run in runs]
    assume(shown[0] == shown[1])  # a session that loses all its bars is not shown, nor started (decision 0002)
    seen = [[row for row in p.seen if o.micros(row[0]) <= instant] for p in players]
    assert seen[0] == seen[1]
    fills = [run.fills.filter(pl.col("time") < o.instant(instant)) for run in runs]
    assert_frame_equal(*fills, check_exact=True)
    equity = [run.equity.filter(pl.col("time") <= o.instant(instant)) for run in runs]
    if equity[0].height != equity[1].height:  # a run whose data ends before that instant ends there
        assert runs[1].finish_reason == "no_more_data"
    common = min(frame.height for frame in equity)
    assert_frame_equal(*(frame.head(common) for frame in equity), check_exact=True)
    decided = [run.orders.filter(pl.col("decided_at") <= o.instant(instant)).sort("id").select(GIVEN) for run in runs]
    assert_frame_equal(*decided, check_exact=True)


GIVEN = (
    "id", "symbol", "session", "decided_at", "type", "level", "tif", "tag",
    pl.when(pl.col("type") == "market").then("shares"),  # of others it is what was filled, later
)  # fmt: skip


def changed(row: o.Bar, factor: int, decimals: int | None) -> o.Bar:
    """Another bar on the same tick grid, which is the whole store's."""

    def times(price: float | None) -> float | None:
        made = None if price is None else price * factor
        return made if made is None or decimals is None else round(made, decimals)

    prices = {c: times(getattr(row, c)) for c in ("open", "high", "low", "close")}
    return row._replace(**prices, volume=77)


@law(30)
@given(worlds(), st.lists(intervals, min_size=1, max_size=3, unique=True))
def test_resampling_conserves_volume_and_extremes(world: World, labels: list[str]) -> None:
    with stored(world) as folder, refusals():
        frames = bt.load_bars(folder, world.calendar, *world.span.values(), intervals=["1m", *labels])
    key = ("session", "symbol")
    minutes = frames["1m"]
    for label in labels:
        bars = frames[label]
        whole = [
            f.group_by(key).agg(
                pl.col("volume").sum(), pl.col("high").max(), pl.col("low").min(), pl.col("open").first(),
                pl.col("close").last(),
            ).sort(key)
            for f in (minutes, bars)
        ]  # fmt: skip
        assert_frame_equal(*whole, check_exact=world.whole_volume, rel_tol=1e-12)
        assert bars["n_obs"].sum() == minutes.height
        assert (bars["n_obs"] <= bars["n_expected"]).all()
        assert (bars["n_obs"] > 0).all()
        assert (bars["low"] <= bars["high"]).all()
        inside = minutes.join_asof(
            bars.select(*key, pl.col("open_time"), pl.col("close_time").alias("end")), on="open_time", by=list(key),
            check_sortedness=False,
        )  # fmt: skip
        assert (inside["close_time"] <= inside["end"]).all()


# -------------------------------------------------------------------------------------------------- what is handed out


class Meddler:
    """Tries to change what it is handed, and measures how much memory it can reach from it."""

    row = Close

    def __init__(self) -> None:
        self.rows = 0

    def on_bar(self, row: Close, book: bt.Book) -> None:
        for name in ("close", "symbol", "new"):
            with pytest.raises(AttributeError):
                setattr(row, name, 1.0)

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        self.rows += 1
        for array in (rows.close, rows.fresh, rows.position, rows.code):
            assert len(array) == len(rows)
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
            reach: Any = array
            while getattr(reach, "base", None) is not None:
                reach = reach.base
            size = len(reach) if isinstance(reach, bytes) else reach.nbytes
            assert size <= array.itemsize * len(rows), "the memory behind it is one minute of its own field"
            assert isinstance(reach, bytes) or not reach.flags.writeable


@law(10)
@given(worlds(sessions=2))
def test_what_is_handed_out_is_read_only_and_ends_at_now(world: World) -> None:
    meddler = Meddler()
    with stored(world) as folder:
        run = replayed(world, folder, meddler)
    assert meddler.rows == run.summary["iterations"]


# ----------------------------------------------------------------------------------------------------------------- clock


@law(100)
@given(st.integers(0, 10**6), st.lists(st.integers(-10, 10**6), max_size=20))
def test_a_clock_only_moves_forward_and_never_past_the_close(close: int, steps: list[int]) -> None:
    clock = Clock(0, close)
    for to in steps:
        now = clock.now
        if now <= to <= close:
            clock.advance(to)
            assert clock.now == to
        else:
            with pytest.raises(ClockError):
                clock.advance(to)
            assert clock.now == now
        assert 0 <= clock.now <= clock.close == close
