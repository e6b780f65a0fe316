"""An independent strategy with a universe: as many backtests as there are symbols, and its symbols may be divided among workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import oracle as o
import polars as pl
from hypothesis import assume, given
from hypothesis import strategies as st
from judge import tables_in_units
from polars.testing import assert_frame_equal
from test_laws import accounts, executions, gates, law
from test_universe_laws import ranked, whole_days
from test_universe_past import changing, markets, temporary
from watchers import (
    EQUITY,
    FILLS,
    ORDERS,
    POSITIONS,
    TRADES,
    Alone,
    Habits,
    Made,
    Watcher,
    assert_same_rows,
    assert_same_table,
    habits,
    judge_types,
    replayed,
    watched,
)
from worlds import World, bars_of, oracle_days, stored

import bt
from bt.model import AccountSpec, DataSpec, RunSpec, SessionSpec, StrategySpec, UniverseSpec
from bt.results import ORDER
from bt.run.sharding import shards
from bt.strategy import declare
from bt.strategy.independence import looks_across

EACH = st.sampled_from((0.0, 700.0, 1e5))
"""Cash of every symbol; 0 is an equal part."""


purses = accounts.map(lambda account: account | {"cash": min(account["cash"], 1e7)})
"""A part of more cash is no float: workers could not be told it in currency."""


class Solo(Watcher):
    """Watches and trades one symbol at a time."""

    independent = True

    def __init__(self, rows: Sequence[type], made: Mapping[str, Made], how: Habits) -> None:
        super().__init__(rows, made)
        self.dice = Alone(how, ())
        self.on_fill, self.on_order = self.dice.on_fill, self.dice.on_order

    def on_bar(self, row: Any, book: Any) -> None:
        super().on_bar(row, book)
        if hash_of(row.symbol, row.close_time) % 10 == 0:
            book.order(row.symbol, 1)
        self.dice.on_bar(row, book)

    def of(self, symbol: str) -> tuple[list[Any], list[Any], list[Any]]:
        """The rows of a symbol, what it knew at each, and what it was told."""
        return (
            [s for s in self.seen if s[2]["symbol"] == symbol],
            [k for k in self.dice.knows if k[1] == symbol],
            [t for t in self.dice.told if t[3] == symbol],
        )


def hash_of(symbol: str, time_us: int) -> int:
    """A number that follows from the two."""
    return sum(map(ord, symbol)) + time_us // o.MINUTE * 7


@st.composite
def watched_apart(draw: st.DrawFn, world: World) -> tuple[list[type], dict[str, Made]]:
    """Row types and features that look at one symbol at a time."""
    own = watched(world).filter(lambda found: not looks_across(None, (), (), {k: m.ours for k, m in found[1].items()}))
    return draw(own)


def ending_together(world: World) -> World:
    """Every symbol has a bar in the last session: the data of none ends before that of all."""
    last = oracle_days(world.schedule, world.last, world.last)[0]
    rng = np.random.default_rng(1)
    more = [
        row
        for symbol in world.symbols
        if not any(r.symbol == symbol and r.time_us >= last.open for r in world.rows)
        for row in bars_of(last, symbol, np.array([3]), decimals=world.decimals, whole=world.whole_volume, rng=rng)
    ]
    return world.with_rows([*world.rows, *more])


@law(25)
@given(st.data(), markets(), habits, executions, accounts, gates, EACH)
def test_symbols_are_backtests_of_their_own(
    data: st.DataObject,
    world: World,
    how: Habits,
    execution: dict[str, Any],
    account: dict[str, Any],
    gate: dict[str, Any],
    each: float,
) -> None:
    """Members are those of all candidates; the rest is the oracle's runs over one symbol each, put together."""
    kinds, made = data.draw(watched_apart(world))
    ours, theirs = Solo(kinds, made, how), {s: Solo(kinds, made, how) for s in world.symbols}
    tables = {"execution": execution, "quality": gate, "account": {**account, "cash_per_symbol": each}}
    earlier = whole_days(world)
    with stored(world) as folder, temporary() as beside:
        universe = data.draw(changing(world, beside))
        run = replayed(world, folder, ours, universe=universe.ours, **tables)
    result = o.play_apart(
        world.symbols, lambda s: o.Strategy("strategy", theirs[s], judge_types(kinds, made)), o.Account(**account), each,
        days=earlier.days, bars=(), classified=earlier.classified(), zone=world.schedule.zone, start=world.span["start"],
        execution=o.Execution(**execution), gate=o.Gate(**gate), universe=universe.judge,
    )  # fmt: skip
    reached = set(run.by_session["session"])
    assert ranked(run) == [r for r in result.universe if r["session"] in reached]
    sizes = {name: m.size for name, m in made.items()} | {"volume": 0.0 if world.whole_volume else 1.0}
    for symbol in world.symbols:
        seen, knew, told = ours.of(symbol)
        assert_same_rows(seen, theirs[symbol].seen, sizes)
        assert knew == theirs[symbol].dice.knows
        assert Counter(map(repr, told)) == Counter(map(repr, theirs[symbol].dice.told))
    for name, columns in (
        ("fills", FILLS), ("orders", ORDERS), ("trades", TRADES), ("positions", POSITIONS), ("equity", EQUITY),
    ):  # fmt: skip
        assert_same_table(run, name, getattr(result, name), columns)
    counted = {tuple(r[:3]): r[3] for r in run.guards.select("session", "symbol", "reason", "rows").iter_rows()}
    assert counted == {k: n for k, n in result.guards.items() if k[0] in reached}
    assert run.summary["bars"] == result.bars
    assert run.finish_reason == result.finish_reason


def divided(world: World, strategy: Any, workers: int, account: dict[str, Any]) -> list[list[str]]:
    """The symbols of each shard of a run of one strategy, as the check of `--workers` divides them."""
    spec = RunSpec(
        DataSpec("bars", world.calendar), SessionSpec(*world.span.values()), (StrategySpec("strategy", strategy),),
        account=AccountSpec(**account), universe=UniverseSpec(where="prior(close) > 0"),
    )  # fmt: skip
    made = shards(spec, [declare("strategy", strategy, {})], workers)
    assert [s.strategies for s in made] == [(0,)] * workers
    return [part for s in made if (part := world.symbols[s.part :: s.parts])]


def listed(folder: Path, run: bt.Run, symbols: Sequence[str]) -> dict[str, str]:
    """The members of a run that are among `symbols`, session by session, as a universe."""
    path = folder / f"{'-'.join(symbols)}.parquet"
    never = [(date(1990, 1, 1), date(1990, 1, 2), s) for s in symbols]
    members = run.universe.filter(pl.col("symbol").is_in(symbols)).select("session", "symbol").rows()
    rows = [*never, *((day, day + timedelta(days=1), symbol) for day, symbol in members)]
    schema = {"from": pl.Date, "to": pl.Date, "symbol": pl.String}
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(path)
    return {"table": str(path)}


@law(25)
@given(st.data(), markets(), habits, executions, purses, gates, EACH, st.integers(2, 4), st.sampled_from((1, 5)))
def test_symbols_divided_among_workers_are_the_whole(
    data: st.DataObject,
    world: World,
    how: Habits,
    execution: dict[str, Any],
    account: dict[str, Any],
    gate: dict[str, Any],
    each: float,
    workers: int,
    days: int,
) -> None:
    """Each shard is given its symbols, the run's members among them and its cash of a symbol; the tables put together are the run's."""
    world = ending_together(world)
    kinds, made = data.draw(watched_apart(world))
    whole = Solo(kinds, made, how)
    part = o.units(account["cash"]) // len(world.symbols) / o.UNIT
    tables = {"execution": execution, "quality": gate}
    cash = account | {"cash_per_symbol": each}
    with stored(world) as folder, temporary() as beside:
        universe = data.draw(changing(world, beside)).ours
        run, equity = in_units(world, folder, whole, universe=universe, account=cash, **tables)
        assume(run.universe.height)
        runs, curves = [], []
        for symbols in divided(world, whole, workers, cash):
            player = Solo(kinds, made, how)
            own = {"universe": {**listed(beside, run, symbols), "leavers": universe["leavers"]}}
            purse = {"account": cash | {"cash_per_symbol": each or part}}
            made_of = {"symbols": symbols, "prefetch_days": days, **own, **purse, **tables}
            one, curve = in_units(world, folder, player, **made_of)
            runs.append(one)
            curves.append(curve)
            for symbol in symbols:
                assert player.of(symbol) == whole.of(symbol)
            assert all(whole.dice.draws[k] == d for k, d in player.dice.draws.items())
    for name in ("fills", "orders", "trades", "positions", "guards", "quality"):
        together = pl.concat([getattr(r, name) for r in runs]).sort(ORDER[name], maintain_order=True)
        assert_frame_equal(together, getattr(run, name), check_exact=True)
    members = pl.concat([r.universe for r in runs]).select("session", "symbol").sort("session", "symbol")
    assert_frame_equal(members, run.universe.select("session", "symbol").sort("session", "symbol"))
    assert_adds_up(curves, equity)


def in_units(world: World, folder: Path, strategy: Any, **more: Any) -> tuple[bt.Run, pl.DataFrame]:
    """A run, and its equity in units."""
    with tables_in_units() as kept:
        run = replayed(world, folder, strategy, **more)
    return run, kept.of("equity")


def assert_adds_up(parts: Sequence[pl.DataFrame], whole: pl.DataFrame) -> None:
    """Equity of the shards is that of the whole, minute by minute, in units."""
    for frame in parts:
        assert_frame_equal(frame.select("time", "session"), whole.select("time", "session"))
    for name in ("equity", "cash", "gross", "net"):
        assert sum((f[name] for f in parts[1:]), parts[0][name]).equals(whole[name]), name
