from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from small import TUESDAY, Script, bars, store

import bt
from bt.errors import UsageError
from bt.model import AccountSpec, DataSpec, RunSpec, SessionSpec, StrategySpec
from bt.run.sharding import Shard, shards
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
