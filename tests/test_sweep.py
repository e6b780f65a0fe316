"""Many parameter sets over one pass of the data: each is as it would be alone, and what is wrong is said before any work."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import pickle
import random
import re
import statistics
import threading
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import Bar, bars, store
from test_laws import executions, law
from test_universe_laws import universes
from watchers import KINDS, Dice, Habits, refusals
from worlds import World, stored, worlds

import bt
import bt.sweeps.passes
import bt.sweeps.sweeping
from bt.errors import BtError, ConfigError, StrategyError, StrategyRaised, UsageError
from bt.sweeps import run_sets
from bt.sweeps.passes import chunks
from bt.sweeps.recording import TOTALS
from bt.sweeps.result import values_of


class Close(bt.Row):
    symbol: str
    close_time: int
    close: float
    mean: float | None


class Gambler(Dice):
    """Trades at random by its seed; after so many rows it stops its run, or raises."""

    row = Close  # type: ignore[assignment]

    def __init__(self, seed: int = 1, busy: float = 0.3, n: int = 3, stops: int = 0, raises: int = 0, warm: int = 0):
        Dice.__init__(self, Habits(seed, busy, (), kinds=KINDS), (Close,))
        self.row = Close  # type: ignore[assignment]
        self.n, self.stops, self.raises, self.rows = n, stops, raises, 0
        if warm:
            self.warm_up = f"{warm}d"

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", self.n)}

    def _act(self, moment: Any, book: Any, symbol: str | None, *, rarer: float = 1) -> None:
        if symbol is not None:
            Dice._act(self, moment, book, symbol, rarer=rarer)

    def on_bar(self, row: Close, book: bt.Book) -> None:
        self.rows += 1
        if self.rows == self.raises:
            raise ArithmeticError(f"row {self.rows}")
        if self.rows == self.stops:
            book.stop("enough")
        if self.rows > self.stops > 0:
            assert book.position(row.symbol) is not None
        if len(book.rng.random(1)) and row.mean is not None:
            Dice.on_bar(self, row, book)


class Steady:
    """Long one share of everything from the first bar on, for `hold` bars."""

    row = Bar

    def __init__(self, hold: int = 3, shares: int = 1, name: str = "x") -> None:
        self.hold, self.shares, self.name = hold, shares, name

    def on_bar(self, row: Bar, book: bt.Book) -> None:
        book.target(row.symbol, self.shares if row.minute < self.hold else 0)


def same(sweep: bt.Sweep, number: int, run: bt.Run) -> None:
    """A set is what its run alone is, to the bit."""
    result = sweep.results[number]
    assert result.error == ""
    assert result.metrics == run.metrics
    known = {**run.summary, "failed_symbols": len(run.summary["failed"])}
    assert dict(result.totals) == {name: known[name] for name in TOTALS}
    closes = (
        run.equity.group_by("session", "time")
        .agg(pl.col("equity").sum())
        .sort("time")
        .group_by("session", maintain_order=True)
        .last()
    )
    ours = sweep.equity(number)
    assert ours["session"].to_list() == run.by_session["session"].to_list()
    with_minutes = ours.filter(pl.col("session").is_in(closes["session"].implode()))
    assert with_minutes["equity"].to_list() == pytest.approx(closes["equity"].to_list(), rel=1e-15)


# ---------------------------------------------------------------------------------------------------------------- laws

TRIED: dict[str, list[list[Any]]] = {
    "busy": [[0.05, 1.0]],
    "n": [[1, 4]],
    "warm": [[0, 1, 2]],
    "stops": [[0, 1], [0, 40], [7, 150, 0]],
    "raises": [[0, 1], [0, 30]],
    "execution.slippage_bps": [[0.0, 2.5]],
    "execution.time_in_force": [["day", "gtc"]],
    "execution.fill": [["next_open", "same_close"]],
    "execution.at_end": [["mark", "close"]],
    "account.cash": [[3000.0, 1e6]],
    "account.leverage": [[0.0, 1.0]],
    "account.interest_bps": [[0.0, 450.0]],
    "quality.minimum": [[0.0, 60.0]],
    "run.seed": [[0, 5]],
}


@st.composite
def grids(draw: st.DrawFn) -> dict[str, list[Any]]:
    """A seed or two, and up to three other keys."""
    seeds = draw(st.lists(st.integers(0, 99), min_size=1, max_size=2, unique=True))
    keys = draw(st.lists(st.sampled_from(sorted(TRIED)), max_size=3, unique=True))
    return {"seed": seeds, **{key: draw(st.sampled_from(TRIED[key])) for key in keys}}


@law(25)
@given(st.data(), worlds(sessions=4), grids(), executions, st.sampled_from(("raise", "isolate")))
def test_each_set_is_as_alone(
    data: st.DataObject, world: World, grid: dict[str, Any], execution: dict[str, Any], policy: str
) -> None:
    universe = data.draw(st.none() | universes(world))
    more = {"execution": execution, **({} if universe is None else {"universe": universe.ours})}
    with stored(world) as folder, refusals():
        sweep = bt.sweep(
            bars=folder, strategy=Gambler, calendar=world.calendar, **world.span, **more, save=False,
            set={"run.on_strategy_error": policy}, grid=grid,
        )  # fmt: skip
        assert sweep.trials == len(list(itertools.product(*grid.values())))
        numbers = range(sweep.trials)
        for number in data.draw(st.permutations(numbers))[:4]:
            if policy == "raise" and (failed := sweep.results[number].error):
                assert sweep.results[number].metrics is None
                with pytest.raises(StrategyRaised, match=re.escape(failed)):
                    sweep.run(number)
                continue
            run = sweep.run(number)
            if run.summary["strategies_failed"]:
                assert sweep.results[number].error == "; ".join(run.summary["strategies_failed"].values())
                result = dataclasses.replace(sweep.results[number], error="")
                sweep = dataclasses.replace(
                    sweep, results=[*sweep.results[:number], result, *sweep.results[number + 1 :]]
                )
            same(sweep, number, run)
            assert sweep.results[number].stop_reason == run.stop_reason


@law(8)
@given(worlds(sessions=3), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))
def test_how_sets_are_divided_changes_nothing(world: World, together: int, workers: int, seed: int) -> None:
    grid = {"seed": [seed, seed + 1], "stops": [0, 60], "execution.slippage_bps": [0.0, 3.0], "n": [1, 5]}
    with stored(world) as folder, refusals():
        given_ = {"bars": folder, "strategy": Gambler, "calendar": world.calendar, **world.span, "save": False}
        whole = bt.sweep(grid=grid, **given_)
        parts: list[Any] = []
        for group in chunks(whole.spec, whole.sets, workers, together):
            assert len(group) <= together
            carried = pickle.loads(pickle.dumps(group))  # noqa: S301 - our own
            parts += run_sets(whole.spec, carried)
    assert sorted(parts, key=lambda r: r.number) == list(whole.results)


def test_several_strategies_of_a_set_share_or_not(tmp_path: Path) -> None:
    where = store(tmp_path, bars("A", [10, 11, 12, 11, 13]), bars("B", [5, 5, 6, 7, 6]))
    strategies = [{"name": "a", "use": Steady, "params": {"hold": 2}}, {"name": "b", "use": Steady}]
    grid = {"strategies.b.params.hold": [1, 4], "account.shared": [False, True], "strategies.a.params.shares": [3, 9]}
    given_ = {"calendar": "XNYS", "start": "2024-01-02", "end": "2024-01-02", "cash": 120.0}
    sweep = bt.sweep(bars=where, strategies=strategies, grid=grid, save=False, **given_)
    for number in range(8):
        same(sweep, number, sweep.run(number))
    assert len({tuple(r.equity) for r in sweep.results}) > 3


class Signals:
    """In columns style."""

    def __init__(self, n: int = 2, shares: int = 3) -> None:
        self.n, self.shares = n, shares

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", self.n)}

    def signals(self) -> dict[str, pl.Expr]:
        return {"target": pl.when(pl.col("close") > pl.col("mean")).then(self.shares).otherwise(0)}


class Planned:
    """With a timer, a frame before the open, history, and a cross-section."""

    history: ClassVar[dict[str, int]] = {"1m": 3}
    row = type("Planned_", (bt.Row,), {"__annotations__": {"symbol": str, "close": float, "size": int | None}})

    def __init__(self, every: int = 2, size: int = 1) -> None:
        self.every, self.size, self.calls = every, size, 0

    def at_open(self, session: bt.Session, past: bt.Past) -> Any:
        return {"symbol": ["A"], "size": [self.size]}

    @bt.every("1m")
    def look(self, rows: Any, book: bt.Book) -> None:
        self.calls += 1
        if self.calls % self.every == 0 and len(book.bars("A", 2).close):
            book.target("A", self.size if book.position("A") == 0 else 0)


class Apart(Steady):
    """Each symbol with its own account."""

    independent = True


STYLES: dict[str, tuple[type, dict[str, Any]]] = {
    "signals": (Signals, {"n": [2, 3], "shares": [3, -2]}),
    "planned": (Planned, {"every": [1, 2, 3], "size": [1, 4]}),
    "independent": (Apart, {"hold": [1, 3], "account.cash_per_symbol": [50.0, 500.0]}),
}


@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_swept(style: str, market: Path) -> None:
    strategy, grid = STYLES[style]
    sweep = sweeping(market, grid, strategy=strategy)
    for number in range(sweep.trials):
        same(sweep, number, sweep.run(number))
    assert sweep.frame["fills"].min() > 0  # type: ignore[operator]
    assert sweep.frame["net_pnl"].n_unique() > 1


@pytest.mark.parametrize("stops", [1, 4, 6, 11, 99])
def test_book_stop_ends_its_own_set_alone(stops: int, market: Path) -> None:
    grid = {"stops": [0, stops], "seed": [1, 2], "busy": [1.0]}
    sweep = sweeping(market, grid, strategy=Gambler, execution={"commission_per_share": 0.01, "time_in_force": "gtc"})
    for number in range(4):
        same(sweep, number, sweep.run(number))
    assert [r.stop_reason for r in sweep.results] == [None, None, *["enough" if stops < 20 else None] * 2]
    assert len(sweep.results[0].sessions) == 3
    assert len(sweep.results[2].sessions) == (1 if stops < 10 else 2 if stops < 20 else 3)


def test_equal_features_of_sets_are_one_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = store(tmp_path, bars("A", [10, 11, 12, 11, 13] * 4))
    plans = []
    made = bt.sweeps.playing.made

    def watched(*args: Any, **how: Any) -> Any:
        context = made(*args, **how)
        parts = context.__enter__()
        plans.append((len(parts.plan.features), len(parts.players)))
        context.__exit__(None, None, None)
        return made(*args, **how)

    monkeypatch.setattr(bt.sweeps.playing, "made", watched)
    bt.sweep(
        bars=where, strategy=Gambler, start="2024-01-02", end="2024-01-02", save=False,
        grid={"n": [2, 3], "seed": list(range(10)), "account.cash": [1e5, 1e6]},
    )  # fmt: skip
    assert plans == [(2, 40)]


def test_keys_that_need_a_pass_of_their_own(market: Path) -> None:
    shared = {"hold": [1, 2], "execution.slippage_bps": [0.0, 1.0], "account.cash": [10.0, 20.0], "run.seed": [0, 1]}
    grid = {**shared, "execution.fill": ["next_open", "next_close"], "session.end": ["2024-01-03", "2024-01-04"]}
    sweep = sweeping(market, grid)
    groups = chunks(sweep.spec, sweep.sets, together=1000)
    assert [len(group) for group in groups] == [16] * 4
    for group in groups:
        assert len({(s.values["execution.fill"], s.values["session.end"]) for s in group}) == 1
    for number in (0, 1, 2, 3, 63):
        same(sweep, number, sweep.run(number))
    assert [len(group) for group in chunks(sweep.spec, sweep.sets[:1] * 100)] == [50, 50]


def test_workers_have_as_many_passes_of_sets_that_cost_as_much(market: Path) -> None:
    sweep = sweeping(market, {"hold": [1]})
    sets = [dataclasses.replace(sweep.sets[0], number=n) for n in range(150)]
    assert [[s.number for s in group] for group in chunks(sweep.spec, sets[:5], workers=2)] == [[0, 2, 4], [1, 3]]
    assert [len(group) for group in chunks(sweep.spec, sets, workers=2)] == [38, 38, 37, 37]
    assert [group[-1].number for group in chunks(sweep.spec, sets, workers=2)] == [74, 75, 148, 149]
    assert [len(group) for group in chunks(sweep.spec, sets[:2], workers=4)] == [1, 1]
    assert [[s.number for s in group] for group in chunks(sweep.spec, sets[:5], together=2)] == [[0, 1], [2, 3], [4]]
    kinds = {"hold": [1, 2], "execution.fill": ["next_open", "next_close", "same_close"]}
    several = sweeping(market, kinds).sets
    groups = [[s.number for s in group] for group in chunks(sweep.spec, several, workers=2)]
    assert groups == [[0, 3], [1, 4], [2, 5]], "a kind of passes is cut only where there are fewer than workers"
    assert [len(group) for group in chunks(sweep.spec, several, workers=4)] == [1] * 6


def test_universes_that_a_parameter_decides_are_passes_of_their_own(market: Path) -> None:
    class Top(Steady):
        def __init__(self, top: int = 1, hold: int = 3) -> None:
            super().__init__(hold)
            self.universe = bt.top(top, by="prior(close)")

    sweep = sweeping(market, {"top": [1, 2], "hold": [1, 3]}, strategy=Top, start="2024-01-03")
    assert [[s.number for s in group] for group in chunks(sweep.spec, sweep.sets)] == [[0, 1], [2, 3]]
    for number in range(4):
        same(sweep, number, sweep.run(number))


# ------------------------------------------------------------------------------------------------------------ the frame


@pytest.fixture
def market(tmp_path: Path) -> Path:
    return store(
        tmp_path, bars("A", [10, 11, 12, 11, 13]), bars("B", [5, 5, 6, 7, 6]),
        bars("A", [13, 12, 12.5, 14, 13], day="2024-01-03"), bars("A", [13, 15, 12.5, 14, 13.5], day="2024-01-04"),
    )  # fmt: skip


def sweeping(market: Path, grid: dict[str, Any], **more: Any) -> bt.Sweep:
    given_ = {"strategy": Steady, "start": "2024-01-02", "end": "2024-01-04", "save": False, "cash": 1000.0}
    return bt.sweep(bars=market, grid=grid, **{**given_, **more})


def test_the_frame_has_parameters_metrics_and_totals_ranked(market: Path) -> None:
    grid = {"hold": [1, 2, 3], "execution.slippage_bps": [0.0, 100.0]}
    sweep = sweeping(market, grid, where="hold != 2 or execution.slippage_bps > 1", choose="net_pnl")
    frame = sweep.frame
    assert frame.columns[:5] == ["number", "hold", "execution.slippage_bps", "error", "stop_reason"]
    assert set(frame.columns) > {f.name for f in dataclasses.fields(sweep.run(0).metrics)} | set(TOTALS)
    assert sorted(frame["number"]) == list(range(5))
    by_number = frame.sort("number")
    assert by_number["hold"].to_list() == [1, 1, 2, 3, 3]
    assert by_number["execution.slippage_bps"].to_list() == [0, 100, 100, 0, 100]
    assert frame["net_pnl"].to_list() == sorted(frame["net_pnl"], reverse=True)
    assert frame["net_pnl"].n_unique() > 2
    best = frame.row(0, named=True)
    assert sweep.best() == {"hold": best["hold"], "execution.slippage_bps": best["execution.slippage_bps"]}
    cheapest = sweep.best("commission")  # a tie: the first
    assert cheapest == {"hold": 1, "execution.slippage_bps": 0.0}


def test_a_parameter_named_as_a_metric_has_its_full_name(market: Path) -> None:
    class Named(Steady):
        def __init__(self, trades: int = 1, hold: int = 2) -> None:
            super().__init__(hold, trades)

    sweep = sweeping(market, {"trades": [1, 2]}, strategy=Named)
    assert sweep.frame.sort("number")["strategy.params.trades"].to_list() == [1, 2]
    assert sweep.frame["trades"].to_list() == [4, 4]


def test_values_of_several_kinds_are_text(market: Path) -> None:
    sweep = sweeping(market, {"name": ["a", None, 3.5]}, strategy=Anything)
    assert sweep.frame.sort("number")["name"].to_list() == ["a", "null", "3.5"]
    assert sweep.best("orders") == {"name": "a"}


class Anything(Steady):
    def __init__(self, name: Any = None) -> None:
        super().__init__()


def test_where_may_be_a_function_and_name_what_is_not_tried(market: Path) -> None:
    sweep = sweeping(market, {"hold": [1, 2, 5, 9]}, where=lambda p: p.hold > p.shares and p["hold"] < 9)
    assert [s.values["hold"] for s in sweep.sets] == [2, 5]
    text = sweeping(market, {"hold": [1, 2, 5, 9]}, where="shares < hold < 9 and not (hold == 9)")
    assert text.sets == sweep.sets
    nested = sweeping(
        market, {"hold": [1, 2], "account.cash": [10.0, 20.0]}, where=lambda p: p.account.cash == 10 * p.hold
    )
    assert [s.values for s in nested.sets] == [{"hold": 1, "account.cash": 10.0}, {"hold": 2, "account.cash": 20.0}]


def test_parameters_are_coerced_and_instances_and_lists_are_copied(market: Path) -> None:
    class Listed(Steady):
        def __init__(self, holds, shares: int = 1) -> None:  # no annotation: the list itself comes
            super().__init__(holds[0], shares)
            self.holds = holds

        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            self.holds.append(1)
            self.hold = len(self.holds)

    grid = {"holds": [[2], [3, 4]], "shares": [2.0]}
    sweep = sweeping(market, grid, strategy=Listed)
    for number in (1, 0, 0, 1):
        same(sweep, number, sweep.run(number))
    assert grid["holds"] == [[2], [3, 4]]
    one = Listed([5])
    sweep = sweeping(market, {"account.cash": [100.0, 1000.0]}, strategy=one)
    assert one.holds == [5]
    same(sweep, 1, sweep.run(1))
    assert one.holds == [5]


def test_equity_and_run_of_a_set(market: Path) -> None:
    sweep = sweeping(market, {"hold": [1, 4]})
    equity = sweep.equity(1)
    assert equity.columns == ["session", "equity", "return"]
    assert (
        equity["equity"].to_list()
        == sweep.run(1).equity.group_by("session", maintain_order=True).last()["equity"].to_list()
    )
    before = [1000.0, *equity["equity"].to_list()[:-1]]
    assert equity["return"].to_list() == [
        (now - last) / last for now, last in zip(equity["equity"], before, strict=True)
    ]
    for number in (2, -1, True, "0"):
        with pytest.raises(UsageError, match=f"sweep: set must be a number from 0 to 1, was {number!r}"):
            sweep.run(number)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- what goes wrong


def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("nothing may be played")

    monkeypatch.setattr(bt.sweeps.sweeping, "run_sets", refuse)
    monkeypatch.setattr(bt.sweeps.sweeping, "grounded", refuse)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown parameter": ({"grid": {"hodl": [1]}}, r"sweep.grid: hodl must be a parameter of Steady \(hold, shares, name\) or a key with a dot, was neither; did you mean 'hold'\?"),
    "unknown key": ({"grid": {"execution.slipage_bps": [1]}}, "sweep.grid: execution.slipage_bps must be a known key, was an unknown one; did you mean execution.slippage_bps?"),
    "unknown table": ({"grid": {"exeution.fill": ["next_open"]}}, "sweep.grid: exeution must be a known key"),
    "unknown full parameter": ({"grid": {"strategy.params.hodl": [1]}}, "strategy.params.hodl must be a parameter of Steady"),
    "wrong type": ({"grid": {"hold": [1, 2.5]}}, "strategy.params.hold must be int, was 2.5"),
    "wrong value": ({"grid": {"account.cash": [5.0, -1.0]}}, "sweep.grid: account.cash must be a finite number > 0, was -1.0"),
    "empty": ({"grid": {}}, "sweep.grid: it must have a parameter or key at least, was empty"),
    "no values": ({"grid": {"hold": []}}, "hold needs at least one value, was an empty list"),
    "one value": ({"grid": {"hold": 3}}, r"hold needs a list of values, was 3; write \[3\]"),
    "a text": ({"grid": {"name": "abc"}}, "name needs a list of values, was 'abc'"),
    "a list": ({"grid": [1]}, "write { fast"),
    "value twice": ({"grid": {"hold": [1, 2, 1.0]}}, "hold has 1.0 twice"),
    "key twice": ({"grid": {"hold": [1], "strategy.params.hold": [2]}}, "strategy.params.hold must be given once, was given twice"),
    "no effect": ({"grid": {"engine.threads": [1, 2]}}, "engine.threads must change a result, but does not"),
    "no effect of a name": ({"grid": {"run.name": ["a", "b"]}}, "run.name must change a result"),
    "nothing left": ({"grid": {"hold": [1, 2]}, "where": "hold > 2"}, "sweep.where: it must leave a set at least, was 'hold > 2' and left none"),
    "unknown name": ({"grid": {"hold": [1, 2]}, "where": "hodl > 2"}, r"sweep.where: .* was 'hodl > 2'; character 1, at 'hodl': did you mean 'hold'\?"),
    "no comparison": ({"grid": {"hold": [1, 2]}, "where": "hold"}, "compared with nothing"),
    "a call": ({"grid": {"hold": [1, 2]}, "where": "print(1) < 2"}, r"at 'print\(1\)': it is made of"),
    "no sense": ({"grid": {"hold": [1, 2]}, "where": "hold <"}, "sweep.where: it must be a condition"),
    "cannot be compared": ({"grid": {"hold": [1, 2]}, "where": "name < hold"}, "was stopped by TypeError.*at hold=1, |was stopped by TypeError"),
    "unknown attribute": ({"grid": {"hold": [1, 2]}, "where": lambda p: p.hodl > 1}, r"where: hodl must be a parameter, was unknown; did you mean 'hold'\?"),
    "a function that raises": ({"grid": {"hold": [1, 2]}, "where": lambda p: 1 / 0}, "was stopped by ZeroDivisionError"),
    "no condition": ({"grid": {"hold": [1, 2]}, "where": 5}, 'must be text such as "fast < slow" or a function, was 5'),
    "unknown metric": ({"grid": {"hold": [1, 2]}, "choose": "sharp"}, r"sweep.choose: it must be a metric, was 'sharp'; did you mean 'sharpe'\?"),
    "keyword": ({"grid": {"hold": [1]}, "chose": "sharpe"}, "sweep: chose must be a known keyword"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_before_any_work(case: str, market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_work(monkeypatch)
    given_, message = WRONG[case]
    with pytest.raises(UsageError, match=message):
        sweeping(market, **given_)


def test_a_grid_must_be_there(market: Path) -> None:
    with pytest.raises(ConfigError, match="sweep: grid must be given, was absent"):
        bt.sweep(bars=market, strategy=Steady, start="2024-01-02", end="2024-01-02", save=False)


def test_parameters_of_several_strategies_say_whose(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_work(monkeypatch)
    several = [{"name": "a", "use": Steady}, {"name": "b", "use": Steady}]
    with pytest.raises(ConfigError, match=r"hold must say whose it is.*as strategies.a.params.hold"):
        sweeping(market, {"hold": [1]}, strategy=None, strategies=several)
    with pytest.raises(ConfigError, match="parameters must be those of a class, was an instance of Steady"):
        sweeping(market, {"hold": [1]}, strategy=Steady(2))


class Faulty(Steady):
    """Fails in the way that `how` says."""

    def __init__(self, how: str = "", hold: int = 2) -> None:
        if how == "made":
            raise ValueError("cannot be")
        super().__init__(hold)
        self.how = how

    def features(self) -> dict[str, bt.Feature]:
        if self.how == "features":
            raise KeyError("mean")
        if self.how == "peeks":
            return {"mean": bt.feature(pl.col("close").shift(-1), lookback=2)}
        return {"mean": bt.sma("close", 2)}

    row = Close  # type: ignore[assignment]

    def on_bar(self, row: Any, book: bt.Book) -> None:
        if self.how == "bar":
            raise ZeroDivisionError("by zero")
        if self.how == "state":
            self.kept = (i for i in ())
        book.target(row.symbol, 1)


FAULTS = {
    "made": "ValueError: cannot be",
    "features": "KeyError: 'mean'",
    "peeks": "FeatureError: ",
    "bar": "strategy Faulty: ZeroDivisionError: by zero",
    "state": "attribute 'kept' must pickle",
}


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("how", FAULTS)
def test_a_set_that_fails_leaves_the_others(how: str, place: int, market: Path) -> None:
    values = ["", "a", "b"]
    values[place] = how
    sweep = sweeping(market, {"how": values}, strategy=Faulty)
    assert list(sweep.failed) == [place]
    assert FAULTS[how] in sweep.failed[place]
    assert sweep.frame.row(-1, named=True)["number"] == place
    assert sweep.frame.filter(pl.col("error").is_not_null())["sharpe"].to_list() == [None]
    for number in {0, 1, 2} - {place}:
        same(sweep, number, sweep.run(number))
    with pytest.raises(BtError):
        sweep.run(place)
    with pytest.raises(UsageError, match=f"equity: set {place} must have been played, but failed"):
        sweep.equity(place)


def test_too_much_money_fails_its_set_alone(market: Path) -> None:
    sweep = sweeping(market, {"shares": [1, 10**12], "account.leverage": [0.0]})
    assert list(sweep.failed) == [1]
    assert "MoneyError" in sweep.failed[1]
    same(sweep, 0, sweep.run(0))


class Narrow(Steady):
    """A feature that raises for what is dearer than 127 times `div`, and a signal that does."""

    row = type("Narrowed", (Close,), {"__annotations__": {"small": float | None}})

    def __init__(self, div: int = 1, hold: int = 3) -> None:
        super().__init__(hold)
        self.div = div

    def features(self) -> dict[str, bt.Feature]:
        whole = (pl.col("close") / self.div).cast(pl.Int64).cast(pl.Int8, strict=True)
        return {"small": bt.feature(whole.cast(pl.Float64), lookback=0), "mean": bt.sma("close", 2)}

    def on_bar(self, row: Any, book: bt.Book) -> None:
        book.target(row.symbol, 1 if row.small is not None else 0)


class NarrowSignals(Narrow):
    def features(self) -> dict[str, bt.Feature]:
        return {}

    row = None  # type: ignore[assignment]
    on_bar = None  # type: ignore[assignment]

    def signals(self) -> dict[str, pl.Expr]:
        whole = (pl.col("close") / self.div).cast(pl.Int64).cast(pl.Int8, strict=True)
        return {"target": pl.when(whole > 0).then(1)}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_symbol_that_one_set_loses_is_there_for_the_others(workers: int, tmp_path: Path) -> None:
    where = store(tmp_path, bars("CHEAP", [10.0, 11.0, 12.0]), bars("DEAR", [200.0, 210.0, 200.0]))
    sweep = sweeping(where, {"div": [1, 10, 20, 30]}, strategy=Narrow, engine={"workers": workers})
    assert sweep.failed == {}
    frame = sweep.frame.sort("number")
    assert frame["failed_symbols"].to_list() == [1, 0, 0, 0]
    assert frame["orders"].to_list() == [1, 2, 2, 2]
    for number in range(4):
        same(sweep, number, sweep.run(number))


def test_a_feature_that_raises_fails_its_set_alone(tmp_path: Path) -> None:
    where = store(tmp_path, bars("CHEAP", [10.0, 11.0, 12.0]), bars("DEAR", [200.0, 210.0, 200.0]))
    sweep = sweeping(where, {"div": [1, 10, 20]}, strategy=Narrow, run={"on_data_error": "raise"})
    assert list(sweep.failed) == [0]
    assert "feature: it must not raise" in sweep.failed[0] or "conversion" in sweep.failed[0]
    same(sweep, 1, sweep.run(1))


class Asks(Steady):
    """A feature of a length that may be none, and a constructor that ends the process."""

    def __init__(self, n: int = 3, exits: bool = False, hold: int = 3) -> None:
        super().__init__(hold)
        self.n = n
        if exits:
            raise SystemExit(3)

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", self.n)}


def test_a_value_that_cannot_be_fails_its_set_alone(market: Path, tmp_path: Path) -> None:
    sweep = sweeping(market, {"n": [2, 0, 3]}, strategy=Asks, save=True, out=tmp_path / "swept")
    assert sweep.failed == {1: "StrategyError: sma: n must be a whole number >= 1, was 0"}
    again = sweeping(market, {"n": [2, 0, 3]}, strategy=Asks, save=True, out=tmp_path / "swept")
    assert again.frame.equals(sweep.frame)
    with pytest.raises(StrategyError, match="sma: n must be a whole number >= 1, was 0"):
        sweeping(market, {"n": [0, -1]}, strategy=Asks)
    assert sweeping(market, {"exits": [False, True]}, strategy=Asks).failed == {1: "SystemExit: 3"}


def test_what_no_set_is_to_blame_for_is_raised(market: Path) -> None:
    class Wrong(Steady):
        row = type("Wrong", (bt.Row,), {"__annotations__": {"nothing": float}})

    with pytest.raises(StrategyError, match="nothing"):
        sweeping(market, {"hold": [1, 2]}, strategy=Wrong)
    with pytest.raises(BtError, match="the range must hold bars"):
        sweeping(market, {"hold": [1, 2]}, start="2025-01-02", end="2025-01-03")


# ------------------------------------------------------------------------------------------------- the deflated Sharpe


def slow_deflated(every: list[list[float]], trials: int) -> float:
    """The deflated Sharpe ratio as the paper writes it, by other means: quantiles by bisection, moments one by one."""

    def quantile(p: float) -> float:
        low, high = -40.0, 40.0
        for _ in range(300):
            middle = (low + high) / 2
            low, high = (middle, high) if statistics.NormalDist().cdf(middle) < p else (low, middle)
        return low

    def ratio(returns: list[float]) -> float:
        return statistics.mean(returns) / statistics.stdev(returns)

    ratios = [ratio(r) for r in every]
    best = every[max(range(len(every)), key=lambda i: ratios[i])]
    gamma = 0.57721566490153286
    e = 2.718281828459045
    expected = statistics.stdev(ratios) * (
        (1 - gamma) * quantile(1 - 1 / trials) + gamma * quantile(1 - 1 / (trials * e))
    )
    n, mean, own = len(best), statistics.mean(best), ratio(best)
    m2, m3, m4 = (sum((r - mean) ** k for r in best) / n for k in (2, 3, 4))
    z = (own - expected) * (n - 1) ** 0.5 / (1 - m3 / m2**1.5 * own + (m4 / m2**2 - 1) / 4 * own**2) ** 0.5
    return statistics.NormalDist().cdf(z)


def test_the_deflated_sharpe_is_the_papers(tmp_path: Path) -> None:
    dice, price, rows = random.Random(7), 50.0, []
    for day in (2, 3, 4, 5, 8, 9, 10, 11, 12, 16, 17, 18):
        prices = []
        for _ in range(6):
            price = round(price * (1 + dice.gauss(0, 0.02)), 2)
            prices.append(price)
        rows.append(bars("A", prices, day=f"2024-01-{day:02}"))
    where = store(tmp_path, *rows)
    sweep = bt.sweep(
        bars=where, strategy=Steady, start="2024-01-02", end="2024-01-18", save=False, cash=100.0,
        grid={"hold": [2, 3, 4, 5, 6], "shares": [1, -1]},
    )  # fmt: skip
    found = sweep.deflated
    assert found is not None
    assert found.trials == 10
    assert found.number == sweep.chosen("sharpe")
    assert found.sharpe == pytest.approx(sweep.results[found.number].metrics.sharpe, rel=1e-12)  # type: ignore[union-attr]
    every = [r.returns for r in sweep.results]
    assert found.probability == pytest.approx(slow_deflated(every, 10), rel=1e-9)
    assert found.expected > 0
    single = bt.sweep(
        bars=where, strategy=Steady, start="2024-01-02", end="2024-01-18", save=False, cash=100.0, grid={"hold": [4]}
    ).deflated
    assert single is not None
    assert single.expected == 0


def test_the_paper_s_example() -> None:
    """Bailey and Lopez de Prado (2014), numerical example: N = 100, V = 1/2 a year, 250 days, 5 years: SR0 = 0.1132; DSR = 0.9004."""
    from bt.ratios import expected_maximum_sharpe

    expected = expected_maximum_sharpe(100, 0.5 / 250)
    assert expected == pytest.approx(0.1132, abs=5e-5)
    ratio, days, skew, kurtosis = 2.5 / 250**0.5, 1250, -3.0, 10.0
    z = (ratio - expected) * (days - 1) ** 0.5 / (1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2) ** 0.5
    assert statistics.NormalDist().cdf(z) == pytest.approx(0.9004, abs=5e-5)


def test_without_a_sharpe_nothing_is_deflated(market: Path) -> None:
    sweep = sweeping(market, {"hold": [0]})
    assert sweep.deflated is None
    with pytest.raises(UsageError, match="best: a set must have sharpe, but none of 1 has"):
        sweep.best("sharpe")


class Leaves(Steady):
    """Ends its run in a session before the first."""

    warm_up = "1d"

    def __init__(self, leaves: bool = True) -> None:
        super().__init__()
        self.leaves = leaves

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        if self.leaves:
            book.stop("at once")


def test_a_run_that_ends_before_its_first_session_has_none(tmp_path: Path) -> None:
    days = ("2024-01-02", "2024-01-03", "2024-01-04")
    where = store(tmp_path, *(bars("A", [10.0, 11.0, 12.0], day=day) for day in days))
    given = {"bars": where, "calendar": "XNYS", "start": days[1], "end": days[2], "strategy": Leaves, "save": False}
    beside = bt.sweep(grid={"leaves": [True, False]}, **given)
    alone = bt.sweep(grid={"leaves": [True]}, **given)
    for sweep in (beside, alone):
        assert (sweep.results[0].metrics.sessions, sweep.results[0].sessions) == (0, ())
    assert beside.results[0] == alone.results[0]
    assert beside.results[1].metrics.sessions == 2


def test_where_knows_parameters_by_whatever_key(market: Path) -> None:
    for key in ("hold", "strategy.params.hold"):
        for where in ("hold < shares", lambda p: p.hold < p.shares):
            sweep = sweeping(market, {key: [1, 5], "shares": [3]}, where=where)
            assert [dict(one.values) for one in sweep.sets] == [{key: 1, "shares": 3}]
    given_ = {"bars": market, "calendar": "XNYS", "start": "2024-01-02", "end": "2024-01-02", "save": False}
    grid = {"strategies.s.params.hold": [1, 5], "shares": [3]}
    assert bt.sweep(grid=grid, strategies=[{"name": "s", "use": Steady}], where="hold < shares", **given_).trials == 1


def test_a_key_in_two_spellings_is_given_twice(market: Path) -> None:
    two = [{"name": "a", "use": Steady}, {"name": "b", "use": Steady}]
    with pytest.raises(ConfigError, match=r"strategies.0.params.hold must be given once, was given twice"):
        bt.sweep(
            bars=market, calendar="XNYS", start="2024-01-02", end="2024-01-02", save=False, strategies=two,
            grid={"strategies.a.params.hold": [1, 2], "strategies.0.params.hold": [3]},
        )  # fmt: skip


class Holds(Steady):
    """Anything."""

    def __init__(self, hold: int = 3, thing: Any = None) -> None:
        super().__init__(hold)
        self.name = type(thing).__name__


def test_what_cannot_be_copied_is_told(market: Path) -> None:
    told = "strategy Holds: its parameters and what it is made of must be such that each set can have a copy, were not"
    lock = threading.Lock()
    for asked in (
        {"strategy": {"use": Holds, "params": {"thing": lock}}, "grid": {"hold": [1, 2]}},
        {"strategy": Holds, "grid": {"thing": [lock]}},
    ):
        with pytest.raises(StrategyError, match=f"{told} .*lock"):
            bt.sweep(bars=market, calendar="XNYS", start="2024-01-02", end="2024-01-02", save=False, **asked)


def test_days_and_times_are_such_in_the_frame(market: Path) -> None:
    days, hours = [dt.date(2024, 1, 2), dt.date(2024, 1, 3)], [dt.time(10, 0), dt.time(11, 30)]
    frame = bt.sweep(
        bars=market, calendar="XNYS", start="2024-01-02", end="2024-01-02", save=False, strategy=Holds,
        grid={"thing": days, "hold": [-1, 2**63]},
    ).frame  # fmt: skip
    assert frame.schema["thing"] == pl.Date
    assert frame.filter(thing=days[1])["hold"].sort().to_list() == ["-1", str(2**63)]
    assert values_of(hours).to_list() == hours


def test_a_grid_may_be_made_as_it_is_read(market: Path) -> None:
    sweep = sweeping(market, {"hold": (n for n in (1, 2)), "execution": {"slippage_bps": iter([0.0, 1.0])}})
    assert sweep.frame.sort("number").select("hold", "execution.slippage_bps").rows() == [(1, 0.0), (1, 1.0), (2, 0.0), (2, 1.0)]  # fmt: skip
