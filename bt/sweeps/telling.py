"""What a report tells of a sweep that is in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from bt.errors import DataError, UsageError
from bt.report import SweepTold
from bt.sweeps.result import checked_metric, lines_of, parameters_in, ranked

_FILES = ("sweep.json", "sets.json", "results.parquet")


def is_sweep(folder: Path) -> bool:
    """Whether `folder` is that of a finished sweep."""
    return all((folder / name).is_file() for name in _FILES)


def sweep_told(folder: Path, choose: str = "sharpe") -> SweepTold:
    """The sweep in a folder, for a page; `choose` ranks its sets.

    Raises
    ------
    UsageError
        The folder is not that of a finished sweep.
    ConfigError
        There is no such metric.
    DataError
        It is damaged.
    """
    by = checked_metric(choose, "choose")
    if not is_sweep(folder):
        raise UsageError(f"{folder}: it must be the folder of a finished sweep, was not; it has {', '.join(_FILES)}")
    try:
        document: Mapping[str, Any] = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
        frame = pl.read_parquet(folder / "results.parquet", glob=False)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{folder}: it must be what a sweep leaves, was not ({error}); sweep again") from error
    spec = document["spec"]
    lines = [
        ("Strategies", ", ".join(one["name"] for one in spec["strategies"])),
        ("Sessions", f"{spec['data']['calendar']}, {spec['session']['start']} to {spec['session']['end']}"),
        *lines_of(frame.height, by, frame["error"].drop_nulls().len()),
    ]
    return SweepTold(ranked(frame, by), tuple(parameters_in(frame)), by, lines, document)
