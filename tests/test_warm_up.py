"""warm_up: sessions before the start that are shown without trading, and leave nothing in the run's tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import oracle as o
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from small import THURSDAY, TUESDAY, WEDNESDAY, Script, bars, play, store
from test_laws import TABLES, Close, accounts, everything, executions, gates, law
from watchers import EQUITY, FILLS, ORDERS, POSITIONS, TRADES, Dice, Habits, assert_same_table, habits, judged, replayed
from worlds import World, stored, worlds

import bt
from bt.errors import StrategyError, StrategyRaised

DAYS = (TUESDAY, WEDNESDAY, THURSDAY)


def market(folder: Path) -> Path:
    return store(folder, *(bars("AAA", [10.0 + d, 11.0 + d, 12.0 + d], day=day) for d, day in enumerate(DAYS)))


class Warm(Script):
    """Orders at every bar, and notes what its book says."""

    warm_up = "1d"

    def on_bar(self, row: Any, book: bt.Book) -> None:
        self.happened.append((str(book.session), row.minute, book.trading, book.price("AAA")))
        if row.minute == 0:
            book.order("AAA", 1)
            book.target("AAA", 5)
            book.exit_at_close("AAA")
        book.record(x=1.0)
        book.log("hello")


def test_shown_without_trading(tmp_path: Path) -> None:
    strategy = Warm()
    run = play(market(tmp_path), strategy, WEDNESDAY, THURSDAY)
    assert [h for h in strategy.happened if h[0] == TUESDAY] == [(TUESDAY, m, False, 10.0 + m) for m in range(3)]
    assert [h[2:] for h in strategy.happened if h[0] == WEDNESDAY] == [(True, 11.0 + m) for m in range(3)]
    told = [h for h in strategy.happened if h[0] == "order"]
    assert told[:3] == [("order", i, "rejected", "warm_up") for i in (1, 2, 3)]
    assert strategy.happened[0] == ("start", date(2024, 1, 2))
    for table in (run.equity, run.fills, run.orders, run.quality, run.by_session, run.records, run.log, run.positions):
        assert str(table[next(c for c in ("session", "time") if c in table.columns)].min()) >= WEDNESDAY
    assert run.orders["id"].min() == 4
    assert run.summary["sessions"] == 2
    assert run.summary["bars"] == 6
    assert run.summary["warm_up"] == {"Warm": {"asked": 1, "shown": 1}}


def test_less_than_asked(tmp_path: Path) -> None:
    class Long(Warm):
        warm_up = "7d"

    strategy = Long()
    run = play(market(tmp_path), strategy, THURSDAY)
    assert run.summary["warm_up"] == {"Long": {"asked": 7, "shown": 2}}
    assert "warm-up" in repr(run)
    assert [h[0] for h in strategy.happened if len(h) == 4 and h[1] == 0 and isinstance(h[2], bool)] == [*DAYS]


def test_each_sees_its_own_sessions(tmp_path: Path) -> None:
    class Two(Warm):
        warm_up = "2d"

    class Cold(Warm):
        warm_up = None

    def shown(strategy: Warm) -> list[Any]:
        return [h for h in strategy.happened if len(h) == 4 and isinstance(h[2], bool)]

    where = market(tmp_path)
    one, two, none = Warm(), Two(), Cold()
    given = [{"name": "one", "use": one}, {"name": "two", "use": two}, {"name": "none", "use": none}]
    together = bt.replay(bars=where, calendar="XNYS", start=THURSDAY, end=THURSDAY, strategies=given, save=False)
    assert [len({h[0] for h in shown(s)}) for s in (one, two, none)] == [2, 3, 1]
    alone = play(where, fresh := Cold(), THURSDAY)
    assert fresh.happened == none.happened
    assert together.orders.filter(strategy="none").drop("strategy").equals(alone.orders.drop("strategy"))


def test_what_is_not_known_without_a_warm_up_stays_so(tmp_path: Path) -> None:
    """Another strategy's warm-up tells nobody a price."""

    class Asks:
        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            book.record(price=-1.0 if book.price("AAA") is None else book.price("AAA"))

    given = [{"name": "warm", "use": Warm()}, {"name": "asks", "use": Asks()}]
    run = bt.replay(bars=market(tmp_path), calendar="XNYS", start=THURSDAY, end=THURSDAY, strategies=given, save=False)
    assert run.records.filter(strategy="asks")["value"].to_list() == [-1.0]


def test_stopped_while_warming_up(tmp_path: Path) -> None:
    class Stops(Warm):
        def on_bar(self, row: Any, book: bt.Book) -> None:
            book.stop("enough")

    run = play(market(tmp_path), Stops(), WEDNESDAY, THURSDAY)
    assert (run.finish_reason, run.stop_reason, run.summary["sessions"]) == ("stopped", "enough", 0)
    assert run.equity.height == 0


def test_raised_while_warming_up(tmp_path: Path) -> None:
    class Raises(Warm):
        def on_bar(self, row: Any, book: bt.Book) -> None:
            raise ValueError("no")

    with pytest.raises(StrategyRaised, match="session 2024-01-02"):
        play(market(tmp_path), Raises(), WEDNESDAY, THURSDAY)


@pytest.mark.parametrize("said", [5, "5", "0d", "5m", "d", True])
def test_a_warm_up_that_is_none(tmp_path: Path, said: Any) -> None:
    strategy = Warm()
    strategy.warm_up = said
    with pytest.raises(StrategyError, match='warm_up must be a number of sessions like "5d", was'):
        play(market(tmp_path), strategy)


# ---------------------------------------------------------------------------------------------------------------- laws


def warmed(how: Habits, world: World, sessions: int) -> Dice:
    made = Dice(replace(how, symbols=tuple(world.symbols)), (Close,))
    made.warm_up = f"{sessions}d"  # type: ignore[attr-defined]
    return made


@law(25)
@given(
    worlds(),
    habits,
    st.integers(1, 4),
    executions,
    accounts,
    gates,
    st.sampled_from((1, 2, 5)),
)
def test_warm_up_as_in_the_oracle(
    world: World, how: Habits, sessions: int, execution: Any, account: Any, gate: Any, days: int
) -> None:
    ours, theirs = warmed(how, world, sessions), warmed(how, world, sessions)
    with stored(world) as folder:
        run = replayed(world, folder, ours, execution=execution, account=account, quality=gate, prefetch_days=days)
    result = judged(
        world, o.Strategy("strategy", theirs, [o.RowType.of(Close)], warm_up=sessions),
        execution=o.Execution(**execution), account=o.Account(**account), gate=o.Gate(**gate),
    )  # fmt: skip
    assert ours.knows == theirs.knows
    assert sorted(map(repr, ours.told)) == sorted(map(repr, theirs.told))
    tables = {"fills": FILLS, "orders": ORDERS, "trades": TRADES, "positions": POSITIONS, "equity": EQUITY}
    for table, columns in tables.items():
        assert_same_table(run, table, getattr(result, table), columns)
    assert run.finish_reason == result.finish_reason
    assert run.summary["iterations"] == result.iterations
    assert run.summary["bars"] == result.bars


@law(10)
@given(worlds(), habits, st.lists(st.integers(0, 3), min_size=2, max_size=3))
def test_together_as_alone(world: World, how: Habits, sessions: list[int]) -> None:
    def made(n: int) -> Dice:
        return warmed(how, world, n) if n else Dice(replace(how, symbols=tuple(world.symbols)), (Close,))

    players = [made(n) for n in sessions]
    given = [{"name": f"s{i}", "use": p} for i, p in enumerate(players)]
    with stored(world) as folder:
        together = replayed(world, folder, None, strategies=given)
        for i, (n, player) in enumerate(zip(sessions, players, strict=True)):
            alone = made(n)
            run = everything(replayed(world, folder, None, strategies=[{"name": f"s{i}", "use": alone}]))
            assert alone.knows == player.knows
            assert alone.told == player.told
            for name in set(TABLES) - {"quality", "guards", "by_session"}:
                mine = everything(together)[name].filter(strategy=f"s{i}")
                assert_frame_equal(mine, run[name], check_exact=True)


def test_the_state_of_who_begins_later_must_pickle_too(tmp_path: Path) -> None:
    class Later(Script):
        def on_session_end(self, session: Any, book: Any) -> None:
            self.what = (n for n in range(3))

    given = [{"name": "warm", "use": Warm()}, {"name": "later", "use": Later()}]
    with pytest.raises(StrategyRaised, match="strategy later: attribute 'what' must pickle"):
        bt.replay(bars=market(tmp_path), calendar="XNYS", start=THURSDAY, end=THURSDAY, strategies=given, save=False)
