"""The runs in a folder, one row each, from their manifest.json and metrics.json alone."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from bt.errors import UsageError
from bt.results.reading import is_run

CATALOG = {
    "when": pl.Datetime("us", "UTC"),
    "name": pl.String(),
    "strategy": pl.String(),
    "parameters": pl.String(),
    "start": pl.Date(),
    "end": pl.Date(),
    "sessions": pl.Int64(),
    "net_pnl": pl.Float64(),
    "total_return": pl.Float64(),
    "max_drawdown": pl.Float64(),
    "sharpe": pl.Float64(),
    "trades": pl.Int64(),
    "finish_reason": pl.String(),
    "path": pl.String(),
}
"""Columns of a catalog."""

_STAMPED = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}(-\d+)?")
_OURS = ("metrics.json", "timings.json", "fills.parquet", "equity.parquet")


class _Strategy(msgspec.Struct):
    name: str
    params: dict[str, Any] = {}


class _Session(msgspec.Struct):
    start: date
    end: date


class _Options(msgspec.Struct):
    name: str = ""


class _Spec(msgspec.Struct):
    session: _Session
    strategies: list[_Strategy]
    run: _Options


class _Manifest(msgspec.Struct):
    spec: _Spec
    finish_reason: str


class _Summary(msgspec.Struct):
    sessions: int
    net_pnl: float
    total_return: float
    max_drawdown: float
    sharpe: float | None
    trades: int


class _Metrics(msgspec.Struct):
    summary: _Summary


class _Timings(msgspec.Struct):
    seconds: dict[str, float]
    finished: datetime


@dataclass(frozen=True)
class Catalog:
    """The runs in a folder.

    Attributes
    ----------
    frame : DataFrame
        One row a finished run, the latest first: `CATALOG`. `when` it began; `strategy` names joined by commas;
        `parameters` a JSON object, of several strategies one by name; `net_pnl` in currency, `total_return` and
        `max_drawdown` fractions, `sharpe` annualized; `path` absolute.
    skipped : tuple of (path, reason)
        Folders that are a run's but not a whole one, sorted.
    """

    frame: pl.DataFrame
    skipped: tuple[tuple[Path, str], ...]


def catalog(folder: str | os.PathLike[str]) -> Catalog:
    """The finished runs directly inside `folder`, and what had to be left out.

    Raises
    ------
    UsageError
        `folder` is no folder, or a run itself.
    """
    where = Path(os.path.normpath(Path.cwd() / folder))
    if not where.is_dir():
        raise UsageError(f"{folder}: it must be a folder of runs, was not there; runs are in output.dir")
    if is_run(where):
        raise UsageError(f"{folder}: it must be a folder of runs, was a run itself; open it with bt.open_run")
    rows: list[dict[str, Any]] = []
    skipped: list[tuple[Path, str]] = []
    for path in sorted(entry for entry in where.iterdir() if entry.is_dir()):
        if reason := _no_run(path):
            skipped.append((path, reason))
        elif is_run(path):
            try:
                rows.append(_row(path))
            except (OSError, msgspec.MsgspecError) as error:
                skipped.append((path, f"damaged, or of another version ({error})"))
    frame = pl.DataFrame(rows, schema=CATALOG, orient="row")
    return Catalog(frame.sort("when", "path", descending=True), tuple(skipped))


def _no_run(path: Path) -> str:
    """Why a folder that a run has begun is no run; "" for a run and for what never was one."""
    if path.name.startswith("."):
        return "still being written, or left by a process that was killed" if path.name.endswith(".partial") else ""
    if not is_run(path) and any((path / name).exists() for name in _OURS):
        return "damaged: manifest.json is missing"
    return ""


def _row(path: Path) -> dict[str, Any]:
    manifest = msgspec.json.decode((path / "manifest.json").read_bytes(), type=_Manifest)
    summary = msgspec.json.decode((path / "metrics.json").read_bytes(), type=_Metrics).summary
    spec = manifest.spec
    by_name = {strategy.name: strategy.params for strategy in spec.strategies}
    parameters = spec.strategies[0].params if len(by_name) == 1 else by_name
    return {
        "when": _began(path), "name": spec.run.name, "strategy": ", ".join(by_name),
        "parameters": json.dumps(parameters, ensure_ascii=False), "start": spec.session.start, "end": spec.session.end,
        **msgspec.structs.asdict(summary), "finish_reason": manifest.finish_reason, "path": str(path),
    }  # fmt: skip


def _began(path: Path) -> datetime:
    """When a run began: its folder is named by it, unless the user chose another name."""
    if found := _STAMPED.fullmatch(path.name):
        return datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    timings = msgspec.json.decode((path / "timings.json").read_bytes(), type=_Timings)
    return timings.finished - timedelta(seconds=timings.seconds.get("total", 0.0))
