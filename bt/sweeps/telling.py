"""What a report tells of a sweep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from bt.errors import DataError, UsageError
from bt.report import SweepTold
from bt.sweeps.result import FIGURES, Sweep, ranked

_FILES = ("sweep.json", "sets.json", "results.parquet")


def is_sweep(folder: Path) -> bool:
    """Whether `folder` is that of a finished sweep."""
    return all((folder / name).is_file() for name in _FILES)


def sweep_told(sweep: Sweep | Path, choose: str | None = None) -> SweepTold:
    """A sweep, or that in a folder, for a page; `choose` ranks its sets, of a folder ``sharpe`` by default.

    Raises
    ------
    UsageError
        The folder is not that of a finished sweep.
    DataError
        It is damaged.
    """
    if isinstance(sweep, Sweep):
        by = choose or sweep.choose
        lines = _lines(sweep.trials, by, len(sweep.failed))
        best = sweep.deflated
        if best is not None:
            told = f"set {best.number}: {best.sharpe:.2f}; of {best.trials} sets without skill the best would show {best.expected:.2f}"
            lines.append(("Best Sharpe", f"{told}; probability of a true one above 0: {best.probability:.1%}"))
        return SweepTold(ranked(sweep.frame, by), tuple(_parameters(sweep.frame)), by, lines)
    if not is_sweep(sweep):
        raise UsageError(f"{sweep}: it must be the folder of a finished sweep, was not; it has {', '.join(_FILES)}")
    try:
        document: Mapping[str, Any] = json.loads((sweep / "sweep.json").read_text(encoding="utf-8"))
        frame = pl.read_parquet(sweep / "results.parquet", glob=False)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{sweep}: it must be what a sweep leaves, was not ({error}); sweep again") from error
    by = choose or "sharpe"
    failed = frame["error"].drop_nulls().len()
    spec = document["spec"]
    lines = _lines(frame.height, by, failed)
    lines.insert(0, ("Sessions", f"{spec['data']['calendar']}, {spec['session']['start']} to {spec['session']['end']}"))
    lines.insert(0, ("Strategies", ", ".join(one["name"] for one in spec["strategies"])))
    return SweepTold(ranked(frame, by), tuple(_parameters(frame)), by, lines, document)


def _parameters(frame: pl.DataFrame) -> Sequence[str]:
    return [name for name in frame.columns if name not in {"number", "error", "stop_reason", *FIGURES}]


def _lines(trials: int, by: str, failed: int) -> list[tuple[str, str]]:
    warning = "the best of many looks better than it is"
    return [("Sets", f"{trials:,} tried, {failed:,} failed, ranked by {by}; {warning}")]
