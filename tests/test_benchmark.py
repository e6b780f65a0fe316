"""The benchmark is read for the metrics alone."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from small import THURSDAY, TUESDAY, WEDNESDAY, Script, bars, play, store

import bt
from bt.errors import ConfigError

MONDAY, FRIDAY = "2023-12-29", "2024-01-05"
"""The session before, and the one after the others."""


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return store(
        tmp_path, bars("A", [10.0, 11.0]), bars("A", [12.0], day=WEDNESDAY), bars("A", [9.0, 10.0], day=THURSDAY), bars("A", [11.0], day=FRIDAY),
        bars("SPY", [100.0], day=MONDAY), bars("SPY", [101.0, 102.0], day=TUESDAY), bars("SPY", [51.0], day=THURSDAY), bars("SPY", [52.0], day=FRIDAY),
    )  # fmt: skip


def bought(where: Path, **how: Any) -> bt.Run:
    given = {"symbols": ["A"], "run": {"benchmark": "SPY"}, "end": FRIDAY, "cash": 20.0, "account": {"leverage": 0.0}}
    return play(where, Script({("A", 0): lambda b: b.position("A") or b.order("A", 1)}), **{**given, **how})


def test_returns_are_of_last_closes_and_nobody_is_shown_them(where: Path):
    run = bought(where)
    ends = [20.0, *run.equity.group_by("session", maintain_order=True).last()["equity"].to_list()]
    own = [b / a - 1 for a, b in itertools.pairwise(ends)]
    other = [0.02, 0.0, -0.5, 52 / 51 - 1]  # no bar on Wednesday
    mean = sum(own) / 4, sum(other) / 4
    slope = sum((r - mean[0]) * (b - mean[1]) for r, b in zip(own, other, strict=True)) / sum(
        (b - mean[1]) ** 2 for b in other
    )
    assert run.metrics.beta == pytest.approx(slope)
    assert run.metrics.alpha is not None
    assert set(run.quality["symbol"]) == {"A"}
    assert run.summary["symbols"] == 1
    plain = bought(where, run={})
    assert plain.metrics.beta is None
    assert plain.fills.equals(run.fills)


@pytest.mark.parametrize("prefetch", [1, 2, 30])
def test_it_does_not_depend_on_windows_nor_on_being_a_candidate(where: Path, prefetch: int):
    assert bought(where, prefetch_days=prefetch).metrics == bought(where).metrics
    assert bought(where, symbols=["A", "SPY"]).metrics == bought(where).metrics


def test_a_benchmark_must_be_there(where: Path):
    with pytest.raises(ConfigError, match="run.benchmark must be a symbol of the store, was 'SPX'"):
        bought(where, run={"benchmark": "SPX"})
