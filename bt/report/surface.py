"""A sweep as a table of its sets, and as the surface over its first two parameters."""

from __future__ import annotations

from typing import Any

import polars as pl

from bt.report.parts import NONE, Cell, Table, tinted
from bt.report.subject import SweepTold

WIDEST = 40
"""Values of a parameter that a surface shows."""

FIGURES = (("total_return", "Return", "+.2%"), ("max_drawdown", "Max drawdown", ".2%"), ("sharpe", "Sharpe", ".2f"),
           ("trades", "Trades", ",d"), ("net_pnl", "Net P&L", "+,.2f"))  # fmt: skip


def surface(sweep: SweepTold) -> list[Table]:
    """The surface, where two parameters or one have several values, and the best sets."""
    varying = [name for name in sweep.parameters if sweep.frame[name].n_unique() > 1]
    made = []
    if varying and sweep.frame[sweep.choose].drop_nulls().len():
        made.append(_surface(sweep, varying))
    return [*made, _best(sweep)]


def _surface(sweep: SweepTold, varying: list[str]) -> Table:
    """Rows of the first parameter, columns of the second (or one column): the best of `choose` over all others."""
    down, across = varying[0], varying[1] if len(varying) > 1 else None
    keys = [down] if across is None else [down, across]
    best = sweep.frame.group_by(keys).agg(pl.col(sweep.choose).max().alias("value")).sort(keys)
    values: dict[tuple[Any, Any], float | None] = {
        (row[0], row[1] if across else None): row[-1] for row in best.iter_rows()
    }
    rows_ = _few(best[down].unique().sort().to_list())
    columns = [None] if across is None else _few(best[across].unique().sort().to_list())
    known = [v for v in values.values() if v is not None]
    low, high = min(known), max(known)
    table: list[list[str | Cell]] = [
        [_text(r), *(_cell(values.get((r, c)), low, high) for c in columns)] for r in rows_
    ]
    heads = [
        down if across is None else f"{down} \\ {across}",
        *([sweep.choose] if across is None else [_text(c) for c in columns]),
    ]
    others = [name for name in varying if name not in keys]
    note = f"Each cell is the best over {', '.join(others)}." if others else ""
    shown = len(rows_) * len(columns)
    if shown < len(values):
        note += f" {shown} of {len(values)} combinations are shown, evenly spread."
    return Table(f"{sweep.choose} by {' and '.join(keys)}", heads, table, note=note.strip())


def _few(values: list[Any]) -> list[Any]:
    if len(values) <= WIDEST:
        return values
    step = (len(values) - 1) / (WIDEST - 1)
    return [values[round(i * step)] for i in range(WIDEST)]


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(value: float | None, low: float, high: float) -> Cell:
    if value is None:
        return Cell(NONE)
    text = f"{value:.4g}"
    if low >= 0 or high <= 0:  # one sign: tint by the place between the lowest and the highest
        return Cell(text, "up" if high > low else "", (value - low) / (high - low) if high > low else 0.0)
    return tinted(value, max(-low, high), text)


def _best(sweep: SweepTold, shown: int = 25) -> Table:
    figures = [(name, head, form) for name, head, form in FIGURES if name in sweep.frame.columns]
    rows: list[list[str | Cell]] = [
        [f"{s['number']}", *(_text(s[p]) for p in sweep.parameters),
         *(NONE if s[name] is None else format(s[name], form) for name, _, form in figures), s["error"] or ""]
        for s in sweep.frame.head(shown).iter_rows(named=True)
    ]  # fmt: skip
    few = f" (the best {shown} of {sweep.frame.height:,})" if sweep.frame.height > shown else ""
    heads = ("Set", *sweep.parameters, *(head for _, head, _ in figures), "")
    return Table(f"Sets by {sweep.choose}{few}", heads, rows)
