"""What a notebook shows of a run: its summary, and equity with drawdown as a small drawing that needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.figures import account, drawdown, thinned
from bt.report.parts import money, percent

WIDTH, TOP, BOTTOM, SPACE = 640, 120, 60, 16
"""Pixels: the drawing's width, the heights of equity and drawdown, and what is between them."""


def notebook_html(lines: Sequence[tuple[str, str]], equity: pl.DataFrame | pl.LazyFrame, start: float) -> str:
    """The summary's `lines` as a table, then equity and drawdown of the account."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in lines
    )
    return f"<table>{rows}</table>{_drawing(account(equity), start)}"


def _drawing(minutes: pl.DataFrame, start: float) -> str:
    if minutes.height < 2:
        return ""
    worth = minutes["equity"].to_numpy()
    under = drawdown(worth, start)
    kept = thinned([worth, under], 1200)
    x = kept / (len(worth) - 1) * WIDTH
    low, high = float(worth.min()), float(worth.max())
    first, last = (f"{minutes['session'][i]}" for i in (0, -1))
    told = f"Equity from {money(float(worth[0]))} to {money(float(worth[-1]))}, {first} to {last}; deepest drawdown {percent(float(under.min()))}"
    above = _path(x, worth[kept], low=low, high=high, top=0, height=TOP)
    below = _path(x, under[kept], low=float(under.min()), high=0.0, top=TOP + SPACE, height=BOTTOM)
    label = "font-size='11' font-family='sans-serif' fill='currentColor'"
    return (
        f"<svg role='img' aria-label='{escape(told)}' viewBox='0 -14 {WIDTH} {TOP + SPACE + BOTTOM + 20}' width='{WIDTH}' style='max-width:100%;height:auto'>"
        f"<text x='0' y='-3' {label}>equity {money(low)} to {money(high)}</text>"
        f"<path d='{above}' fill='none' stroke='#2f6fde' stroke-width='1.3'/>"
        f"<text x='0' y='{TOP + SPACE - 3}' {label}>drawdown, deepest {percent(float(under.min()))}</text>"
        f"<path d='{below} L{WIDTH},{TOP + SPACE} L0,{TOP + SPACE} Z' fill='#c4561c' fill-opacity='0.45'/></svg>"
    )


def _path(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], *, low: float, high: float, top: int, height: int
) -> str:
    up = (high - y) / (high - low) * height if high > low else np.zeros(len(y))
    points = zip(x.tolist(), (up + top).tolist(), strict=True)
    return "M" + " L".join(f"{a:.1f},{b:.1f}" for a, b in points)
