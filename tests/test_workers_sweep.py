"""Sweeps and walk-forwards by several workers: the same sets, the same bytes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import test_walk_forward as several_folds
from cli_runs import market, process
from small import THURSDAY, TUESDAY, Bar
from test_workers import walk

import bt
from bt.errors import WorkerError
from bt.run import pool

FILES = ("sets.json", "results.parquet", "returns.parquet")


class Holds:
    """Long `shares` for `hold` bars; after so many sessions it raises."""

    row: Any = Bar

    def __init__(self, hold: int = 3, shares: int = 1, bad: int = 0, parent: int = 0) -> None:
        self.hold, self.shares, self.bad, self.parent = hold, shares, bad, parent
        self.sessions = 0

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        self.sessions += 1
        if self.sessions == self.bad:
            raise ValueError("had to")
        if self.parent and self.hold == 5 and os.getpid() != self.parent:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_bar(self, row: Bar, book: bt.Book) -> None:
        book.target(row.symbol, self.shares if row.minute < self.hold else 0)


class Shorts(Holds):
    def on_bar(self, row: Bar, book: bt.Book) -> None:
        book.target(row.symbol, -self.shares if row.minute < self.hold else 0)


def sweep(where: Path, out: Path, workers: int, grid: dict[str, list[Any]], **more: Any) -> bt.Sweep:
    given = {"bars": where, "calendar": "XNYS", "strategy": Holds, "start": TUESDAY, "end": THURSDAY, **more}
    return bt.sweep(grid=grid, out=out, engine={"workers": workers}, **given)


def test_sets_are_divided(tmp_path: Path):
    """Parameters, costs, a set that fails, and the strategies themselves; the classes tried are nobody's to import."""
    where, heard = walk(tmp_path), []

    class Local(Shorts):
        pass

    grid = {"strategy.use": [Holds, Local], "hold": [3, 30], "bad": [0, 2], "execution.slippage_bps": [0.0, 5.0]}
    more = {"progress": lambda *told: heard.append(told)}
    mine, theirs = (sweep(where, tmp_path / str(n), n, grid, **more) for n in (1, 3))
    assert theirs.trials == 16
    assert len(theirs.failed) == 8
    assert theirs.frame.equals(mine.frame)
    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes(), name
    assert not (tmp_path / "3" / "done").exists()
    done = [sessions for sessions, *_ in heard]
    assert sorted(done[1:]) != sorted(done), "both told"
    assert heard[-1][0] <= heard[-1][1]
    assert theirs.run(0).fills.height == mine.run(0).fills.height, "a set alone is one process's"


def test_a_killed_worker_ends_the_sweep_and_what_is_done_is_kept(tmp_path: Path):
    where = walk(tmp_path)
    grid = {"hold": [3, 4, 5], "parent": [os.getpid()]}
    with pytest.raises(WorkerError, match="ended by signal 9"):
        sweep(where, tmp_path / "killed", 2, grid)
    whole = sweep(where, tmp_path / "killed", 1, grid)  # here nothing kills it: it goes on
    assert not whole.failed
    assert whole.frame.equals(sweep(where, tmp_path / "whole", 1, grid).frame)


def test_a_walk_forward(tmp_path: Path):
    """All folds are the same processes' work."""
    where, started = several_folds.market(tmp_path, several_folds.prices(5)), []

    class Counted(pool.Worker):
        def __init__(self, **how: Any) -> None:
            super().__init__(**how)
            started.append(self.pid)

    for workers in (1, 2):
        with mock.patch.object(pool, "Worker", Counted):
            several_folds.walked(where, save=True, out=tmp_path / str(workers), engine={"workers": workers})
    assert len(started) == 2
    names = [p.relative_to(tmp_path / "1") for p in (tmp_path / "1").rglob("*.parquet")]
    assert {Path("chained.parquet"), Path("train-000/results.parquet"), Path("train-002/results.parquet")} < {*names}
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name


def test_the_command(tmp_path: Path):
    folder = market(tmp_path)
    (folder / "sweep.toml").write_text(
        (folder / "run.toml").read_text()
        + "[strategy.params]\nfast = 5\nslow = 20\n[sweep]\ngrid = { fast = [5, 10], slow = [20, 30] }\n"
    )
    use = ("--set", "strategy.use=strategies/sma_cross.py:SmaCross")
    one, two = (process(folder, "sweep", "sweep.toml", *use, "--workers", n, "--out", n, "--json") for n in ("1", "2"))
    assert (one.code, two.code) == (0, 0), (one, two)
    assert one.json["sets"] == two.json["sets"]
    for name in FILES:
        assert (folder / "1" / name).read_bytes() == (folder / "2" / name).read_bytes(), name
