"""`bt runs`: the runs in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bt.cli.failures import DONE
from bt.cli.streams import Output
from bt.cli.tables import listing, plural
from bt.results import catalog


def show_runs(output: Output, folder: Path, *, everything: bool) -> int:
    """Tell of every finished run in a folder, the latest first, and of what is there besides."""
    found = catalog(folder)
    rows = found.frame.to_dicts()
    if output.as_json:
        told = [{**row, "parameters": json.loads(row["parameters"])} for row in rows]
        skipped = [{"path": path, "reason": reason} for path, reason in found.skipped]
        output.json({"folder": str(Path.cwd() / folder), "runs": told, "skipped": skipped})
    else:
        _listed(output, folder, rows, everything=everything)
    for path, reason in found.skipped:
        output.warn(f"{path.name} is left out: {reason}")
    return DONE


def _listed(output: Output, folder: Path, rows: list[dict[str, Any]], *, everything: bool) -> None:
    title = f"{plural(len(rows), 'run') if rows else 'No run'} in {folder}" + (":" if rows else "")
    if not rows:
        output.text(title)
        return
    named = any(row["name"] for row in rows)
    heads = ["when (UTC)", "folder", *(["name"] if named else []), "strategy", "parameters", "finished"]
    numbers = ["sessions", "net P&L", "return", "max drawdown", "Sharpe", "trades"]
    cells = [_cells(row, named=named) for row in rows]
    listing(output, title, [*heads, *numbers], cells, left=len(heads), everything=everything)


def _cells(row: dict[str, Any], *, named: bool) -> list[str]:
    return [
        f"{row['when']:%Y-%m-%d %H:%M}",
        Path(row["path"]).name,
        *([row["name"]] if named else []),
        row["strategy"],
        parameters_told(json.loads(row["parameters"])),
        row["finish_reason"],
        f"{row['sessions']:,}",
        f"{row['net_pnl']:,.2f}",
        f"{row['total_return']:+.2%}",
        f"{row['max_drawdown']:.2%}",
        "-" if row["sharpe"] is None else f"{row['sharpe']:.2f}",
        f"{row['trades']:,}",
    ]


def parameters_told(parameters: dict[str, Any]) -> str:
    """``fast=5, slow=30``; of several strategies ``quick(fast=5), calm(fast=60)``."""
    if parameters and all(isinstance(value, dict) for value in parameters.values()):
        return ", ".join(f"{name}({parameters_told(own)})" for name, own in parameters.items())
    return ", ".join(f"{name}={value}" for name, value in parameters.items())
