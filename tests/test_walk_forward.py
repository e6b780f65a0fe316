"""A walk-forward: folds by the calendar, choices that never see their test, tests that are replays."""

from __future__ import annotations

import itertools
import json
import math
import random
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import Bar, bars, store
from test_laws import law
from test_sweep import Gambler, same
from test_sweep_folder import content
from watchers import refusals
from worlds import World, stored, worlds

import bt
import bt.sweeps.forward
import bt.sweeps.sweeping
from bt.errors import ConfigError, StrategyRaised, UsageError
from bt.model import ForwardSpec
from bt.sweeps import SweepInterrupted
from bt.sweeps.folds import folds

DAYS = [f"2024-01-{day:02}" for day in (2, 3, 4, 5, 8, 9, 10, 11, 12, 16, 17, 18, 19, 22, 23, 24)]


class Rule:
    """Long `shares` from a rising minute on, until `hold` minutes are over; with a mean that reaches back over sessions."""

    row = type("Shown", (Bar,), {"__annotations__": {"mean": float}})

    def __init__(self, n: int = 3, shares: int = 1, fail: int = 0) -> None:
        self.n, self.shares, self.fail, self.begun = n, shares, fail, 0

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", self.n)}

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        self.begun += 1
        if self.begun == self.fail:
            raise ValueError(f"session {self.begun}")

    def on_bar(self, row: Any, book: bt.Book) -> None:
        book.target(row.symbol, self.shares if row.close > row.mean else 0)


def prices(seed: int, sessions: int = 16) -> list[list[float]]:
    dice, price, made = random.Random(seed), 50.0, []
    for _ in range(sessions):
        made.append([])
        for _ in range(6):
            price = round(price * (1 + dice.gauss(0, 0.02)), 2)
            made[-1].append(price)
    return made


def market(folder: Path, table: list[list[float]]) -> Path:
    folder.mkdir(exist_ok=True)
    return store(folder, *(bars("A", some, day=day) for some, day in zip(table, DAYS, strict=False)))


GRID = {"n": [2, 4, 7], "shares": [1, -1]}


def walked(where: Path, grid: dict[str, Any] = GRID, **more: Any) -> bt.WalkForward:
    given_ = {
        "strategy": Rule, "start": DAYS[0], "end": DAYS[-1], "cash": 100.0, "save": False, "train": "5d", "test": "3d",
        "execution": {"commission_per_share": 0.02},
    }  # fmt: skip
    return bt.walk_forward(bars=where, grid=grid, **{**given_, **more})


# --------------------------------------------------------------------------------------------------------------- folds


def slow_folds(n: int, train: int, test: int, step: int, embargo: int, *, anchored: bool) -> list[tuple[int, ...]]:
    """Day by day: a fold begins wherever a step ends, as long as its last day is there."""
    made = []
    begin = 0
    while True:
        training = list(range(0 if anchored else begin, begin + train))
        testing = list(range(training[-1] + embargo + 1, training[-1] + embargo + 1 + test))
        if testing[-1] >= n:
            return made
        made.append((training[0], training[-1], testing[0], testing[-1]))
        begin += step


@law(100)
@given(
    st.integers(1, 60), st.integers(2, 12), st.integers(1, 9), st.integers(0, 9), st.integers(0, 3), st.booleans()
)  # fmt: skip
def test_folds_lie_in_order_and_do_not_overlap(
    n: int, train: int, test: int, more: int, embargo: int, anchored: bool
) -> None:
    sessions = [date.fromordinal(730_000 + i) for i in range(n)]
    forward = ForwardSpec(train, test, test + more, embargo, anchored)
    expected = slow_folds(n, train, test, test + more, embargo, anchored=anchored)
    if not expected:
        with pytest.raises(ConfigError, match=f"must fit into the {n} sessions"):
            folds(sessions, forward)
        return
    made = folds(sessions, forward)
    at = {day: i for i, day in enumerate(sessions)}
    assert [(at[f.train_start], at[f.train_end], at[f.test_start], at[f.test_end]) for f in made] == expected
    assert [f.number for f in made] == list(range(len(made)))
    for one, other in itertools.pairwise(made):
        assert one.test_end < other.test_start


def test_folds_are_in_sessions_of_the_calendar_that_the_data_reaches(tmp_path: Path) -> None:
    walk = walked(market(tmp_path, prices(1, 13)), start="2023-12-20", end="2024-03-01")
    assert walk.folds.select("train_start", "train_end", "test_start", "test_end").rows() == [
        tuple(date.fromisoformat(DAYS[i]) for i in (0, 4, 6, 8)),
        tuple(date.fromisoformat(DAYS[i]) for i in (3, 7, 9, 11)),
    ]


# ---------------------------------------------------------------------------------------------------------------- laws


def test_a_test_is_a_replay_of_the_choice(tmp_path: Path) -> None:
    where = market(tmp_path, prices(2))
    walk = walked(where)
    assert len(walk.tested) == 3
    assert walk.trials == 3 * 6
    for fold, (one, row, parameters) in enumerate(
        zip(walk.tested, walk.folds.iter_rows(named=True), walk.parameters, strict=True)
    ):
        alone = bt.replay(
            bars=where, strategy={"use": Rule, "params": parameters}, start=row["test_start"], end=row["test_end"], cash=100.0,
            execution={"commission_per_share": 0.02, "at_end": "close"}, save=False,
        )  # fmt: skip
        assert one.test.metrics == alone.metrics
        assert one.test.totals["open_positions"] == 0
        assert alone.summary["guards"] == {}  # the windows are warm from the first minute on
        assert walk.run(fold).fills.equals(alone.fills)
        assert {k: row[k] for k in parameters} == parameters
        trained = bt.sweep(
            bars=where, strategy=Rule, start=row["train_start"], end=row["train_end"], cash=100.0, grid=GRID, save=False,
            execution={"commission_per_share": 0.02},
        )  # fmt: skip
        assert one.sweep.results == trained.results
        assert trained.best() == parameters
        assert row["train_sharpe"] == trained.results[row["number"]].metrics.sharpe  # type: ignore[union-attr]
        assert row["test_sharpe"] == alone.metrics.sharpe
        same(one.sweep, 3, one.sweep.run(3))


@law(5)
@given(st.data(), worlds(sessions=8, least=7, history=False), st.integers(0, 50))
def test_folds_of_any_market_are_replays(data: st.DataObject, world: World, seed: int) -> None:
    grid = {"seed": [seed, seed + 1], "busy": [0.1], "execution.slippage_bps": [0.0, 5.0]}
    lengths = {"train": "2d", "test": "2d", "embargo": data.draw(st.sampled_from(("0d", "1d")))}
    with stored(world) as folder, refusals():
        given_ = {"bars": folder, "strategy": Gambler, "calendar": world.calendar, **world.span}
        try:
            walk = bt.walk_forward(grid=grid, choose="net_pnl", save=False, **lengths, **given_)
        except ConfigError as error:
            assert "must fit into" in str(error)  # noqa: PT017 - the data may begin late or end early
            return
        for fold, one in enumerate(walk.tested):
            run = walk.run(fold)
            assert one.test.metrics == run.metrics
            assert run.summary["open_positions"] == 0 or run.summary["stale"]


@given(st.integers(0, 10**6), st.integers(0, 1))
@law(6)
def test_a_choice_never_sees_its_test(tmp_path_factory: pytest.TempPathFactory, seed: int, embargo: int) -> None:
    folder = tmp_path_factory.mktemp("future")
    table, other = prices(seed), prices(seed + 1)
    more = {"embargo": f"{embargo}d", "end": DAYS[9 + embargo - 1], "train": "6d", "test": "3d"}
    first = walked(market(folder / "a", table), **more)
    changed = walked(market(folder / "b", table[:6] + other[6:]), **more)
    assert len(first.tested) == 1
    assert changed.parameters == first.parameters
    assert changed.tested[0].sweep.results == first.tested[0].sweep.results
    assert changed.tested[0].test != first.tested[0].test


def test_an_embargoed_session_is_used_by_nobody_and_a_later_choice_sees_it(tmp_path: Path) -> None:
    table = prices(5)
    first = walked(market(tmp_path / "a", table))
    held = [*table[:5], [p * 1.5 for p in table[5]], *table[6:]]  # session 5 is the embargo of fold 0
    changed = walked(market(tmp_path / "b", held))
    assert changed.tested[0].sweep.results == first.tested[0].sweep.results
    assert changed.tested[1].sweep.results != first.tested[1].sweep.results


# -------------------------------------------------------------------------------------------------------------- chained


def test_returns_are_chained(tmp_path: Path) -> None:
    walk = walked(market(tmp_path, prices(3)))
    runs = [walk.run(fold) for fold in range(3)]
    growth, before = [], []
    for run in runs:
        closes = run.equity.group_by("session", maintain_order=True).last()["equity"].to_list()
        growth += [now / last for now, last in zip(closes, [100.0, *closes[:-1]], strict=True)]
        before += [100.0, *closes[:-1]]
    assert walk.equity["equity"].to_list() == pytest.approx(list(100 * np.cumprod(growth)), rel=1e-12)
    assert walk.equity["session"].to_list() == [day for run in runs for day in run.by_session["session"]]
    assert walk.equity["fold"].to_list() == [0] * 3 + [1] * 3 + [2] * 3
    metrics, returns = walk.metrics, [g - 1 for g in growth]
    assert metrics.sessions == 9
    assert metrics.total_return == pytest.approx(math.prod(growth) - 1, rel=1e-12)
    assert metrics.total_return == pytest.approx(math.prod(1 + r.metrics.total_return for r in runs) - 1, rel=1e-12)
    year = walk.sessions_a_year
    assert metrics.sharpe == pytest.approx(np.mean(returns) / np.std(returns, ddof=1) * year**0.5, rel=1e-9)
    assert metrics.cagr == pytest.approx(math.prod(growth) ** (year / 9) - 1, rel=1e-9)
    chained, scale = [], 1.0
    for run in runs:
        minutes = run.equity["equity"].to_numpy() * scale
        chained += minutes.tolist()
        scale = minutes[-1] / 100.0
    peaks = np.maximum.accumulate([100.0, *chained])[1:]
    assert metrics.max_drawdown == pytest.approx(float(np.min(np.array(chained) / peaks - 1)), rel=1e-9)
    trades = pl.concat([run.trades for run in runs])["net_pnl"]
    assert metrics.hit_rate == (trades > 0).sum() / len(trades)
    assert metrics.avg_trade == pytest.approx(float(trades.mean()), rel=1e-9)  # type: ignore[arg-type]
    turnover = 0.0
    for run_, opened in zip(runs, range(0, 9, 3), strict=True):
        for i, day in enumerate(run_.by_session["session"]):
            value = run_.fills.filter(session=day).select(pl.col("shares").abs() * pl.col("price")).sum().item()
            turnover += value / before[opened + i]
    assert metrics.turnover == pytest.approx(turnover / 9, rel=1e-9)


def test_folds_with_cash_of_their_own_are_chained_too(tmp_path: Path) -> None:
    grid = {"n": [2, 7], "account.cash": [100.0, 90.0], "shares": [1]}
    walk = walked(market(tmp_path, prices(11)), grid, choose="net_pnl")
    growth = math.prod(1 + one.test.metrics.total_return for one in walk.tested)  # type: ignore[union-attr]
    assert walk.metrics.total_return == pytest.approx(growth - 1, rel=1e-12)
    start = walk.tested[0].chosen.values["account.cash"]
    assert walk.equity["equity"][-1] == pytest.approx(start * growth, rel=1e-12)


def test_trials_and_the_deflated_sharpe_are_of_all_folds(tmp_path: Path) -> None:
    from test_sweep import slow_deflated

    walk = walked(market(tmp_path, prices(4)))
    found = walk.deflated
    assert found is not None
    assert found.trials == walk.trials == 18
    every = [result.returns for one in walk.tested for result in one.sweep.results]
    known = [r for r in every if max(r) != min(r)]
    assert found.probability == pytest.approx(slow_deflated(known, 18), rel=1e-9)
    assert found.fold is not None
    best = walk.tested[found.fold].sweep.results[found.number].metrics
    assert best is not None
    assert found.sharpe == pytest.approx(best.sharpe, rel=1e-12)


def test_anchored_trainings_begin_with_the_first_session(tmp_path: Path) -> None:
    walk = walked(market(tmp_path, prices(6)), anchored=True, train="5d", test="3d", step="4d", embargo="0d")
    assert walk.folds["train_start"].to_list() == [date.fromisoformat(DAYS[0])] * 3
    assert walk.folds["train_sessions"].to_list() == [5.0, 9.0, 13.0]


# ------------------------------------------------------------------------------------------------------ what goes wrong

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no length": (
        {"train": "5"},
        r"walk_forward: train must be a number of sessions such as \"20d\", was '5'; write \"20d\"",
    ),
    "a number": ({"test": 5}, 'was 5; write "5d": lengths are in sessions'),
    "too short": ({"train": "1d"}, "train must be .* was '1d'; at least \"2d\""),
    "nothing": ({"test": "0d"}, 'at least "1d"'),
    "weeks": ({"embargo": "1w"}, "embargo must be a number of sessions"),
    "overlap": ({"step": "2d"}, 'step must be at least test, "3d", was "2d"'),
    "too long": ({"train": "15d"}, r"must fit into the 16 sessions .* were 19 \(15 \+ 1 \+ 3\)"),
    "anchored": ({"anchored": "yes"}, "anchored must be True or False, was 'yes'"),
    "metric": ({"choose": "sharp"}, "it must be a metric, was 'sharp'"),
    "grid": ({"grid": {"m": [1]}}, "m must be a parameter of Rule"),
    "dates": (
        {"grid": {"n": [2], "session.end": ["2024-01-24"]}},
        "sweep.grid: session.end must be left out of a walk-forward",
    ),
    "keyword": ({"trian": "5d"}, "walk_forward: trian must be a known keyword"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_before_any_work(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bt.sweeps.forward, "sweep_spec", lambda *_, **__: pytest.fail("nothing may be played"))
    more, message = WRONG[case]
    with pytest.raises(UsageError, match=message):
        walked(market(tmp_path, prices(7)), **more)


def test_a_choice_that_raises_ends_it(tmp_path: Path) -> None:
    where = market(tmp_path, prices(8))
    with pytest.raises(
        StrategyRaised,
        match=r"fold 0, training from 2024-01-02 to 2024-01-08: every set failed, the first by .*session 2",
    ):
        walked(where, {"fail": [2]})
    with pytest.raises(StrategyRaised, match=r"fold 0, test from 2024-01-10 to 2024-01-12: .*session 3"):
        walked(where, {"fail": [3], "n": [2]}, train="2d", embargo="4d")
    walk = walked(where, {"fail": [0, 2], "n": [2, 3]})
    assert all(len(one.sweep.failed) == 2 for one in walk.tested)
    assert all(one.chosen.values["fail"] == 0 for one in walk.tested)
    with pytest.raises(UsageError, match="walk_forward: fold must be a number from 0 to 2, was 3"):
        walk.run(3)


def test_what_is_lost_is_not_invested_again(tmp_path: Path) -> None:
    """The first test loses more than there is; later ones earn, of nothing."""
    closes = [[50.0, 51, 52, 53, 54, 55] for _ in range(16)]
    closes[6] = [50.0, 51, 50, 40, 30, 20]  # in the first test
    walk = walked(market(tmp_path, closes), {"shares": [20], "n": [2]}, account={"leverage": 0.0})
    first = walk.tested[0].test
    assert first.equity[-1] < 0
    chained = [worth / 1e8 for worth in (*first.equity, *[first.equity[-1]] * 6)]
    assert walk.equity["equity"].to_list() == pytest.approx(chained, rel=1e-15)
    assert walk.equity["return"].to_list()[-6:] == [None] * 6
    assert walk.metrics.total_return == pytest.approx(walk.equity["equity"][-1] / 100.0 - 1, rel=1e-15)
    assert walk.metrics.sharpe is None


def test_ctrl_c_in_a_test_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(bt.sweeps.forward, "play", stopped)
    with pytest.raises(SweepInterrupted, match="interrupted after 6 of 18 sets; they are kept in .*stopped: the same"):
        walked(market(tmp_path, prices(10)), save=True, out=tmp_path / "stopped")


def test_parameters_named_as_a_metric_of_a_fold_have_their_full_names(tmp_path: Path) -> None:
    class Named(Rule):
        def __init__(self, n: int = 3, train_sessions: int = 1) -> None:
            super().__init__(n)

    walk = walked(market(tmp_path, prices(10)), {"n": [2], "train_sessions": [7]}, strategy=Named)
    assert walk.folds["strategy.params.train_sessions"].to_list() == [7] * walk.folds.height
    assert walk.folds["train_sessions"].to_list() == [one.sweep.results[0].metrics.sessions for one in walk.tested]  # type: ignore[union-attr]


def test_without_the_figure_the_first_set_is_chosen(tmp_path: Path) -> None:
    walk = walked(market(tmp_path, prices(9)), {"shares": [0], "n": [3, 2]})
    assert [p["n"] for p in walk.parameters] == [3, 3, 3]
    assert walk.deflated is None
    assert walk.metrics.total_return == 0


# ----------------------------------------------------------------------------------------------------------- the folder


def test_a_walk_forward_goes_on_and_leaves_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, more = market(tmp_path, prices(10)), {"save": True}
    whole = walked(where, out=tmp_path / "whole", **more)
    real, left = bt.sweeps.sweeping.run_sets, [1]

    def run_sets(*args: Any, **how: Any) -> Any:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return real(*args, **how)

    with monkeypatch.context() as patch:
        patch.setattr(bt.sweeps.sweeping, "run_sets", run_sets)
        with pytest.raises(
            SweepInterrupted, match="interrupted after 6 of 18 sets; they are kept in .*stopped: the same"
        ):
            walked(where, out=tmp_path / "stopped", **more)
    again = walked(where, out=tmp_path / "stopped", **more)
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")
    assert again.folds.equals(whole.folds)
    assert pl.read_parquet(tmp_path / "whole" / "folds.parquet").equals(whole.folds)
    assert pl.read_parquet(tmp_path / "whole" / "chained.parquet").equals(whole.equity)
    told = json.loads((tmp_path / "whole" / "sweep.json").read_text())
    assert told["walk_forward"] == {"train": 5, "test": 3, "step": 3, "embargo": 1, "anchored": False}
    with pytest.raises(
        UsageError, match=r"must be this sweep's, was that of another one \(walk_forward.test was 3 there and is 4"
    ):
        walked(where, out=tmp_path / "whole", test="4d", **more)
    named = walked(where, output={"dir": tmp_path / "runs"}, **more)
    assert named.path is not None
    assert named.path.parent == tmp_path / "runs"
    assert named.path.name.startswith("walk-forward-")


def test_what_was_isolated_counts_with_what_it_had(tmp_path: Path) -> None:
    """The best set is chosen of all that have figures, as `sweep.best` does."""
    where = market(tmp_path, prices(8))
    walk = walked(where, {"fail": [2, 4]}, run={"on_strategy_error": "isolate"})
    for one in walk.tested:
        assert one.chosen.number == one.sweep.frame["number"][0]
    assert walk.trials == 2 * len(walk.tested)
