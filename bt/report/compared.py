"""Runs side by side: figures in rows, a run a column, and their curves over one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Any

import numpy as np
import polars as pl

from bt.figures import drawdown, evenly, thinned
from bt.report.headline import METRICS, told
from bt.report.parts import NONE, Cell, Table, gain, money, number, percent, tone

COLORS = ("#2f6fde", "#c4561c", "#0f8a7b", "#8d4fc7", "#a07a00", "#c2377f", "#5d6b7a", "#3f8f2f")
"""Of the curves in turn; each is told from its background, light or dark, at 3:1 or better."""

DASHES = ("", "6 3", "2 3")
"""Of the curves after every eight."""

POINTS = 1_000
WIDTH, HEIGHT = 640, 180
"""Pixels of the drawing in a notebook."""

TOTALS = (
    ("net_pnl", "Net P&L"), ("commission", "Commission"), ("slippage", "Slippage"), ("orders", "Orders"), ("fills", "Fills"), ("trades", "Trades"),
    ("quality", "Data quality, %"),
)  # fmt: skip


@dataclass(frozen=True)
class ComparedTold:
    """Runs.

    Attributes
    ----------
    frame : DataFrame
        One row a run: run (its name), start, end, `parameters`, metrics, totals; as `bt.compare` has it.
    parameters : sequence of str
        Those in which they differ.
    equity : DataFrame
        session, run, equity (currency), growth (a fraction of the starting equity); by run and session.
    """

    frame: pl.DataFrame
    parameters: Sequence[str]
    equity: pl.DataFrame


def side_by_side(runs: ComparedTold) -> Table:
    """What was run, what came of it, and what it cost: a run a column."""
    rows = runs.frame.to_dicts()
    spans = {(one["start"], one["end"]) for one in rows}
    body: list[list[str | Cell]] = [[name, *(_plain(one[name]) for one in rows)] for name in runs.parameters]
    body += [[head, *(f"{one[key]}" for one in rows)] for key, head in (("start", "First session"), ("end", "Last session"))]  # fmt: skip
    body.append(["Sessions", *(f"{one['sessions']:,}" for one in rows)])
    body.append(["Net P&L", *(gain(one["net_pnl"]) for one in rows)])
    for key, head, form in METRICS:
        if any(one[key] is not None for one in rows):
            tones = [tone(one[key]) if form == "+%" else "" for one in rows]
            body.append([head, *(Cell(told(one[key], form), t) for one, t in zip(rows, tones, strict=True))])
    body += [[head, *(_total(key, one[key]) for one in rows)] for key, head in TOTALS[1:]]
    note = (
        ""
        if len(spans) == 1
        else "The runs do not have the same sessions: only what is a year's or a session's compares."
    )
    return Table("Side by side", ["", *(one["run"] for one in rows)], body, note=note, wide=True)


def by_month(runs: ComparedTold) -> Table:
    """Growth since the start at the last session of each month."""
    names = runs.frame["run"].to_list()
    ends = (
        runs.equity.sort("run", "session", maintain_order=True)
        .group_by("run", pl.col("session").dt.strftime("%Y-%m").alias("month"), maintain_order=True)
        .agg(pl.col("growth").last())
    )
    growth = {(run, month): value for run, month, value in ends.iter_rows()}
    months = sorted({month for _, month in growth})
    shown: list[list[str | Cell]] = [
        [month, *(_growth(growth.get((name, month))) for name in names)] for month in months
    ]
    return Table("Growth since the start, at each month's last session", ["Month", *names], shown)


def curves(runs: ComparedTold) -> dict[str, Any]:
    """For the chart: sessions, and of each run its name, the places of its sessions, growth and drawdown (both in percent, by session closes)."""
    days = runs.equity["session"].unique().sort().to_list()
    place = {day: number for number, day in enumerate(days)}
    return {
        "sessions": [f"{day}" for day in days],
        "ticks": [[int(n), f"{days[n]}"] for n in evenly(len(days), 9).tolist()],
        "runs": [
            {"name": name, "color": f"run{turn % len(COLORS)}", "dash": DASHES[turn // len(COLORS) % len(DASHES)], **_curve(part, place)}
            for turn, (name, part) in enumerate(_parts(runs))
        ],
    }  # fmt: skip


def _parts(runs: ComparedTold) -> list[tuple[str, pl.DataFrame]]:
    return [(name, runs.equity.filter(pl.col("run") == name)) for name in runs.frame["run"].to_list()]


def _curve(part: pl.DataFrame, place: Mapping[date, int]) -> dict[str, list[Any]]:
    growth = part["growth"].to_numpy()
    if not len(growth):
        return {"x": [], "growth": [], "drawdown": []}
    under = drawdown(1 + growth, 1.0)
    kept = thinned([growth, under], POINTS)
    x = [place[day] for day in part["session"].gather(pl.Series(kept)).to_list()]
    return {"x": x, "growth": _percents(growth[kept]), "drawdown": _percents(under[kept])}


def _percents(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    return [round(value, 4) for value in (values * 100).tolist()]


def _total(key: str, value: Any) -> str:
    if value is None:
        return NONE
    if key == "quality":
        return number(value)
    return money(value) if isinstance(value, float) else f"{value:,}"


def _growth(value: float | None) -> Cell:
    return Cell(percent(value, sign=True), tone(value))


def _plain(value: Any) -> str:
    return NONE if value is None else f"{value:g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------------------------------ notebooks


def compared_html(runs: ComparedTold) -> str:
    """What a notebook shows: the curves of growth, then the table."""
    table = side_by_side(runs)
    told_ = curves(runs)
    heads = "".join(f"<th>{_key(one)}{escape(one['name'])}</th>" for one in told_["runs"])
    lines = "".join(
        f"<tr><th style='text-align:left'>{escape(str(row[0]))}</th>" + "".join(f"<td style='text-align:right'>{escape(c if isinstance(c, str) else c.text)}</td>" for c in row[1:]) + "</tr>"
        for row in table.rows
    )  # fmt: skip
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return f"{_drawing(told_)}<table><thead><tr><th></th>{heads}</tr></thead><tbody>{lines}</tbody></table>{note}"


def _key(one: Mapping[str, Any]) -> str:
    return f"<svg width='22' height='8' aria-hidden='true'><path d='M0,4 L18,4' {_stroke(one)} stroke-width='2'/></svg>"


def _stroke(one: Mapping[str, Any]) -> str:
    dash = f" stroke-dasharray='{one['dash']}'" if one["dash"] else ""
    return f"fill='none' stroke='{COLORS[int(one['color'][3:])]}'{dash}"


def _drawing(told_: Mapping[str, Any]) -> str:
    """Growth of all runs over one another, percent."""
    values = [value for one in told_["runs"] for value in one["growth"]]
    if len(told_["sessions"]) < 2 or not values:
        return ""
    low, high = min(0.0, *values), max(0.0, *values)
    scale = HEIGHT / (high - low) if high > low else 0.0
    wide = WIDTH / (len(told_["sessions"]) - 1)
    paths = []
    for one in told_["runs"]:
        points = " L".join(
            f"{x * wide:.1f},{(high - y) * scale:.1f}" for x, y in zip(one["x"], one["growth"], strict=True)
        )
        if points:
            paths.append(
                f"<path d='M{points}' {_stroke(one)} stroke-width='1.5'><title>{escape(one['name'])}</title></path>"
            )
    label = "font-size='11' font-family='sans-serif' fill='currentColor'"
    said = ", ".join(f"{one['name']} {one['growth'][-1]:+.2f} %" for one in told_["runs"] if one["growth"])
    return (
        f"<svg role='img' aria-label='Growth at session closes: {escape(said)}' viewBox='0 -16 {WIDTH} {HEIGHT + 20}' width='{WIDTH}' style='max-width:100%;height:auto'>"
        f"<text x='0' y='-5' {label}>growth at session closes, {low:+.2f} % to {high:+.2f} %, {told_['sessions'][0]} to {told_['sessions'][-1]}</text>"
        f"<path d='M0,{high * scale:.1f} L{WIDTH},{high * scale:.1f}' stroke='currentColor' stroke-opacity='0.3'/>{''.join(paths)}</svg>"
    )
