"""Charts of a run in Altair: frames in, charts out. The only room that imports altair, which comes with ``pip install "minute-bt[report]"``.

Series are cut to what a screen shows (`bt.figures`), so that a chart stays small enough for a notebook.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import altair as alt
import numpy as np
import polars as pl

from bt.figures import account, drawdown, evenly, grid, thinned

Chart: TypeAlias = Any
"""An Altair chart: one, or some in layers or beside each other."""

POINTS = 2_000
WIDTH = 720

UP, DOWN, LINE, MISSING, TRAIL = "#0a7066", "#b0360c", "#1f5fbf", "#8a95a3", "#7a3fb8"


def equity(table: pl.DataFrame | pl.LazyFrame, start: float) -> Chart:
    """Equity of the account by session minutes, nights left out."""
    frame, x = _account(table, start)
    y = alt.Y("equity:Q", title="Equity", scale=alt.Scale(zero=False), axis=alt.Axis(format=",.2f"))
    line = alt.Chart(frame).mark_line(color=LINE, strokeWidth=1.3)
    tooltip = ["time:T", alt.Tooltip("equity:Q", format=",.2f")]
    return line.encode(x=x, y=y, tooltip=tooltip).properties(width=WIDTH, height=260)


def under_water(table: pl.DataFrame | pl.LazyFrame, start: float) -> Chart:
    """How far the account's equity is under its peak, by session minutes, nights left out."""
    frame, x = _account(table, start)
    y = alt.Y("drawdown:Q", title="Drawdown", axis=alt.Axis(format=".2%"))
    area = alt.Chart(frame).mark_area(color=DOWN, opacity=0.45, line={"color": DOWN, "strokeWidth": 1.3})
    tooltip = ["time:T", alt.Tooltip("drawdown:Q", format=".3%")]
    return area.encode(x=x, y=y, tooltip=tooltip).properties(width=WIDTH, height=160)


def _account(table: pl.DataFrame | pl.LazyFrame, start: float) -> tuple[pl.DataFrame, alt.X]:
    """place (session minutes since the run's start), time (UTC), equity and drawdown, thinned together; and their axis, with the dates of sessions."""
    minutes = account(table).with_row_index("place")
    worth = minutes["equity"].to_numpy()
    under = drawdown(worth, start)
    kept = thinned([worth, under], POINTS) if len(worth) else np.arange(0)
    days = minutes.group_by("session", maintain_order=True).agg(pl.col("place").first())[
        evenly(minutes["session"].n_unique(), 9)
    ]
    labels = {f"{place}": f"{day}" for day, place in days.iter_rows()}
    axis = alt.Axis(values=days["place"].to_list(), labelExpr=f"({json.dumps(labels)})[datum.value]", labelOverlap=True)
    x = alt.X("place:Q", title=None, scale=alt.Scale(nice=False), axis=axis)
    return minutes.select("place", "time", "equity").with_columns(pl.Series("drawdown", under))[kept], x


def candles(bars: pl.DataFrame, fills: pl.DataFrame, levels: pl.DataFrame, *, zone: str, title: str) -> Chart:
    """Minute bars of one symbol and session with its fills, and the stops and limits that orders waited at.

    `bars` has open_time (Int64 UTC microseconds) and prices; `fills` bar (the number of its bar), side, shares, price, type, tag; `levels` kind (stop, limit or trail), price, start, end
    (Int64 UTC microseconds). Times are drawn as the exchange's clock shows them.
    """
    local = bars.with_columns(_local("open_time", zone).alias("time"))
    tooltip = ["time:T", "open:Q", "high:Q", "low:Q", "close:Q", "volume:Q"]
    x = alt.X("time:T", title=None)
    rising = alt.condition("datum.open <= datum.close", alt.value("#2b333c"), alt.value(MISSING))
    base = alt.Chart(local).encode(x=x, color=rising, tooltip=tooltip)
    layers = [
        base.mark_rule().encode(y=alt.Y("low:Q", scale=alt.Scale(zero=False), title="Price"), y2="high:Q"),
        base.mark_bar(size=2).encode(y="open:Q", y2="close:Q"),
    ]
    if levels.height:
        drawn = levels.with_columns(_local("start", zone).alias("time"), _local("end", zone).alias("until"))
        kinds = alt.Color(
            "kind:N", scale=alt.Scale(domain=["stop", "trail", "limit"], range=[DOWN, TRAIL, LINE]), title="Waited at"
        )
        layers.append(alt.Chart(drawn).mark_rule(strokeDash=[5, 3]).encode(x=x, x2="until:T", y="price:Q", color=kinds))
    if fills.height:
        at = local["time"].gather(fills["bar"].clip(0))
        marks = fills.with_columns(at.alias("time"))
        side = alt.Color("side:N", scale=alt.Scale(domain=["buy", "sell"], range=[UP, DOWN]), title="Fill")
        shape = alt.Shape(
            "side:N", scale=alt.Scale(domain=["buy", "sell"], range=["triangle-up", "triangle-down"]), legend=None
        )
        points = alt.Chart(marks).mark_point(filled=True, size=90, opacity=1)
        layers.append(
            points.encode(
                x=x,
                y="price:Q",
                color=side,
                shape=shape,
                tooltip=["time:T", "side:N", "shares:Q", "price:Q", "type:N", "tag:N"],
            )
        )
    return alt.layer(*layers).resolve_scale(color="independent").properties(width=WIDTH, height=320, title=title)


def _local(column: str, zone: str) -> pl.Expr:
    """UTC microseconds as the exchange's wall clock."""
    return pl.col(column).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone).dt.replace_time_zone(None)


def quality(table: pl.DataFrame) -> Chart:
    """Quality by symbol and session; neighbours share a cell, which shows the worst of them, where there are more than fit."""
    made = grid(table, "symbol", "session", "quality", most=(50, 100))
    rows, columns = np.indices(made.values.shape)
    names, days = (pl.Series([_bin(b) for b in bins], dtype=pl.String) for bins in (made.rows, made.columns))
    frame = pl.DataFrame(
        {
            "symbol": names.gather(pl.Series(rows.ravel())),
            "session": days.gather(pl.Series(columns.ravel())),
            "quality": pl.Series(made.values.ravel()).fill_nan(None),
        }
    )
    scale = alt.Scale(domain=[0, 100], scheme="oranges", reverse=True)
    cells = alt.Chart(frame).mark_rect().encode(
        x=alt.X("session:O", title=None), y=alt.Y("symbol:O", title=None),
        color=alt.Color("quality:Q", scale=scale, title="Quality, %"), tooltip=["symbol:O", "session:O", "quality:Q"],
    )  # fmt: skip
    return cells.properties(width=WIDTH, height=max(14 * len(made.rows), 60))


def _bin(names: tuple[str, str]) -> str:
    return names[0] if names[0] == names[1] else f"{names[0]} to {names[1]}"


def cells(frame: pl.DataFrame, x: str, y: str, value: str, *, form: str, titles: Mapping[str, str]) -> Chart:
    """A heat map of `value` over two columns of `frame`, each cell with its number in the format `form`; red below 0, green above."""
    colors = alt.Scale(domainMid=0, range=["#e08b64", "#f4f6f8", "#5fb3a5"], interpolate="rgb")
    base = alt.Chart(frame).encode(
        x=alt.X(f"{x}:O", title=titles.get(x, x), axis=alt.Axis(labelAngle=0)),
        y=alt.Y(f"{y}:O", title=titles.get(y, y)),
    )
    heat = base.mark_rect().encode(
        color=alt.Color(f"{value}:Q", scale=colors, title=titles.get(value, value), legend=None)
    )
    return (heat + base.mark_text(fontSize=11).encode(text=alt.Text(f"{value}:Q", format=form))).properties(width=WIDTH)


def overlaid(frame: pl.DataFrame) -> Chart:
    """Lines of several runs: `frame` has session, run and growth (equity over what it began with, - 1)."""
    y = alt.Y("growth:Q", title="Growth", axis=alt.Axis(format="+.2%"))
    lines = alt.Chart(frame).mark_line(strokeWidth=1.4).encode(
        x=alt.X("session:T", title=None), y=y, color=alt.Color("run:N", title=None, sort=None),
        tooltip=["session:T", "run:N", alt.Tooltip("growth:Q", format="+.3%")],
    )  # fmt: skip
    return lines.properties(width=WIDTH, height=280)
