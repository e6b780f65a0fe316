from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import TUESDAY, Script, bars, store

import bt
from bt.errors import UsageError
from bt.model import AccountSpec, DataSpec, RunSpec, SessionSpec, StrategySpec
from bt.run.divided import symbols_of
from bt.run.sharding import Shard, shards
from bt.store import Store
from bt.strategy import declare


class Own(Script):
    independent = True


class Section(Script):
    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        pass


def divided(classes: list[type], workers: int, *, shared: bool = False) -> list[Shard]:
    spec = RunSpec(
        DataSpec("bars", "XNYS"), SessionSpec(date(2024, 1, 2), date(2024, 1, 2)),
        tuple(StrategySpec(str(i), c) for i, c in enumerate(classes)), account=AccountSpec(shared=shared),
    )  # fmt: skip
    return shards(spec, [declare(str(i), c(), {}) for i, c in enumerate(classes)], workers)


@pytest.mark.parametrize(
    ("classes", "workers", "made"),
    [
        ([Script, Own], 1, [Shard((0, 1))]),
        ([Own], 3, [Shard((0,), n, 3) for n in range(3)]),
        ([Script, Section], 2, [Shard((0,)), Shard((1,))]),
        ([Script, Section, Script], 2, [Shard((0, 2)), Shard((1,))]),
        ([Script, Own, Own], 2, [Shard((0,)), Shard((1, 2))]),
        ([Script, Own], 4, [Shard((0,)), *(Shard((1,), n, 3) for n in range(3))]),
        ([Script, Script, Own], 2, [Shard((0, 1)), Shard((2,))]),
    ],
)
def test_what_may_be_divided(classes: list[type], workers: int, made: list[Shard]):
    assert divided(classes, workers) == made


@pytest.mark.parametrize(
    ("classes", "shared", "words"),
    [
        (
            [Section],
            False,
            "at most 1, one a strategy, was 4: strategy 0: on_minute sees every symbol; symbols are divided",
        ),
        ([Script, Script], False, "at most 2, one a strategy, was 4: strategy 0: its symbols share one account"),
        ([Script, Script], True, "must be 1 with account.shared, was 4: strategies with one cash are played together"),
    ],
)
def test_what_may_not(classes: list[type], shared: bool, words: str):
    with pytest.raises(UsageError, match=words):
        divided(classes, 4, shared=shared)


@pytest.mark.parametrize(
    ("strategy", "words"),
    [(Section, "on_minute sees every symbol"), (Own, "must leave a symbol to each, was 2: 1 symbols cannot")],
)
def test_a_run_asks(tmp_path: Path, strategy: Any, words: str):
    where = store(tmp_path, bars("A", [1.0]))
    with pytest.raises(UsageError, match=words):
        bt.replay(bars=where, calendar="XNYS", strategy=strategy, start=TUESDAY, end=TUESDAY, engine={"workers": 2})


@settings(deadline=None)
@given(rows=st.lists(st.integers(0, 1000), min_size=1, max_size=30), data=st.data())
def test_every_symbol_is_played_once_by_neighbours_with_about_as_many_bars(rows: list[int], data: st.DataObject):
    parts = data.draw(st.integers(1, len(rows)))
    names = tuple(f"S{code:02}" for code in range(len(rows)))
    spans = pl.DataFrame({"code": range(len(rows)), "rows": rows}, schema={"code": pl.UInt16, "rows": pl.Int64})
    files = SimpleNamespace(spans=spans, candidates=len(rows), symbols=names)
    found = [symbols_of(cast("Store", files), Shard((0,), part, parts)) or names for part in range(parts)]
    assert sum(found, ()) == names
    assert all(found)
    load = [sum(rows[names.index(s)] + 1 for s in mine) for mine in found]
    if min(map(len, found)) > 1:  # nobody was given a symbol to have one at all
        assert max(load) - min(load) <= 2 * (max(rows) + 1)
