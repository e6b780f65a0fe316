"""Quality as a heat map, and tables of what is missing."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from bt.figures import Grid, grid
from bt.report.parts import NONE, Cell, Table, clock

ABSENT = 255
"""The byte of a cell without a value; others are twice the percent."""

Rows = list[list[str | Cell]]


def map_data(table: pl.DataFrame, *, early: Collection[date], out: Collection[date]) -> dict[str, Any]:
    """The heat map of `table` (session, symbol, quality): symbols down, sessions across. Columns with a session of `early` are marked as half days,
    those of `out` as outages."""
    made = grid(table, "symbol", "session", "quality")
    cells = np.where(np.isnan(made.values), ABSENT, np.rint(np.nan_to_num(made.values) * 2)).astype(np.uint8)
    return {
        "rows": [_bin(names) for names in made.rows],
        "columns": [_bin(names) for names in made.columns],
        "cells": base64.b64encode(cells.tobytes()).decode(),
        "early": _marked(made, early),
        "out": _marked(made, out),
        "binned": list(made.binned),
    }


def _bin(names: tuple[str, str]) -> list[str]:
    return [names[0]] if names[0] == names[1] else list(names)


def _marked(made: Grid, days: Collection[date]) -> list[int]:
    texts = sorted(f"{day}" for day in days)
    return [i for i, (first, last) in enumerate(made.columns) if any(first <= text <= last for text in texts)]


def shrunk(data: dict[str, Any]) -> str:
    """What a reader should know where cells stand for several symbols or sessions."""
    (symbols, sessions), rows, columns = data["binned"], len(data["rows"]), len(data["columns"])
    if (symbols, sessions) == (rows, columns):
        return ""
    return f"{symbols:,} symbols x {sessions:,} sessions are drawn as {rows} x {columns} cells: each shows the worst of its bin."


def by_symbol(table: pl.DataFrame, shown: int = 20) -> Table:
    """The least complete symbols."""
    per = (
        table.group_by("symbol")
        .agg(
            pl.col("quality").mean(),
            pl.col("quality").min().alias("lowest"),
            pl.col("session").sort_by("quality", "session").first().alias("on"),
            pl.col("completeness").mean(),
            (pl.col("expected") - pl.col("present")).sum().alias("missing"),
            pl.col("longest_gap_minutes").filter(pl.col("present") > 0).max().alias("gap"),
        )
        .sort("quality", "symbol")
    )
    rows: Rows = [
        [s["symbol"], f"{s['quality']:.2f}", percent_or_none(s["completeness"]), f"{s['lowest']:.2f}", f"{s['on']}", f"{s['missing']:,}",
         f"{s['gap'] or 0:,}"]
        for s in per.head(shown).iter_rows(named=True)
    ]  # fmt: skip
    few = f" ({shown} of {per.height:,})" if per.height > shown else ""
    heads = ("Symbol", "Mean %", "Complete %", "Lowest %", "On", "Missing", "Longest gap")
    return Table(f"Least complete symbols{few}", heads, rows)


def by_session(table: pl.DataFrame, early: Collection[date], shown: int = 20) -> Table:
    """The least complete sessions, mean over the symbols that have bars."""
    per = (
        table.group_by("session")
        .agg(
            pl.col("quality").filter(pl.col("present") > 0).mean().fill_null(0.0),
            pl.col("expected").max(),
            (pl.col("present") == pl.col("expected")).sum().alias("full"),
            (pl.col("present") == 0).sum().alias("empty"),
        )
        .sort("quality", "session")
    )
    rows: Rows = [
        [f"{s['session']}", f"{s['quality']:.2f}", f"{s['expected']:,}", f"{s['full']:,}", f"{s['empty']:,}", "half day" if s["session"] in early else ""]
        for s in per.head(shown).iter_rows(named=True)
    ]  # fmt: skip
    few = f" ({shown} of {per.height:,})" if per.height > shown else ""
    return Table(f"Least complete sessions{few}", ("Session", "Mean %", "Expected", "Full", "Empty", ""), rows)


def percent_or_none(value: float | None) -> str:
    """A percentage that is already one."""
    return NONE if value is None else f"{value:.2f}"


def outages(frame: pl.DataFrame, zone: ZoneInfo, shown: int = 50) -> Table:
    """Stretches that nearly all liquid symbols lack."""
    rows: Rows = [
        [f"{o['session']}", clock(o["start"], zone, "%H:%M"), clock(o["end"], zone, "%H:%M"), f"{o['minutes']:,}", f"{o['lacking']:.0%}", f"{o['symbols']:,}",
         "whole session" if o["whole_session"] else ""]
        for o in frame.head(shown).iter_rows(named=True)
    ]  # fmt: skip
    few = f" (the first {shown} of {frame.height:,})" if frame.height > shown else ""
    heads = ("Session", "From", "To", "Minutes", "Lacking", "Of liquid symbols", "")
    note = "A gap that most liquid symbols share is the vendor's or the exchange's, not thin trading."
    return Table(f"Outages{few} (times of {zone.key})", heads, rows, note=note)


def guards(frame: pl.DataFrame, zone: ZoneInfo) -> Table:
    """Rows withheld, by reason."""
    per = (
        frame.group_by("reason")
        .agg(
            pl.col("rows").sum(),
            pl.col("symbol").n_unique().alias("symbols"),
            pl.col("session").n_unique().alias("sessions"),
            pl.col("first_time").min(),
            pl.col("last_time").max(),
            pl.col("symbol")
            .sort_by(pl.col("rows"), "symbol", "session", descending=[True, False, False])
            .first()
            .alias("most"),
        )
        .sort("rows", "reason", descending=[True, False])
    )
    rows: Rows = [
        [g["reason"], f"{g['rows']:,}", f"{g['symbols']:,}", f"{g['sessions']:,}", g["most"], clock(g["first_time"], zone), clock(g["last_time"], zone)]
        for g in per.iter_rows(named=True)
    ]  # fmt: skip
    heads = ("Reason", "Rows", "Symbols", "Sessions", "Most in", "First", "Last")
    return Table(f"Rows withheld, by reason (times of {zone.key})", heads, rows)


def worst_gaps(frame: pl.DataFrame, outage: pl.DataFrame, zone: ZoneInfo) -> Table:
    """The longest gaps, each beside whether it lies in an outage."""
    spans = list(outage.select("start", "end").iter_rows())
    rows: Rows = [
        [g["symbol"], f"{g['session']}", clock(g["start"], zone, "%H:%M"), clock(g["end"], zone, "%H:%M"), f"{g['minutes']:,}",
         "outage" if any(g["start"] < end and start < g["end"] for start, end in spans) else "its own"]
        for g in frame.iter_rows(named=True)
    ]  # fmt: skip
    heads = ("Symbol", "Session", "From", "To", "Minutes", "Part of")
    return Table(f"Longest gaps inside sessions (times of {zone.key})", heads, rows, left=2)


def gap_causes(table: pl.DataFrame, outage: pl.DataFrame, shown: int = 20) -> Table:
    """Of each symbol, minutes missing inside outages and outside: the vendor's gaps against thin trading. `table` has lists of gaps."""
    gaps = (
        table.filter(pl.col("present") > 0)
        .select("session", "symbol", "gaps")
        .explode("gaps")
        .drop_nulls("gaps")
        .unnest("gaps")
    )
    spans = outage.select("session", pl.col("start").alias("out_start"), pl.col("end").alias("out_end"))
    shared = (
        gaps.join(spans, on="session")
        .with_columns(
            (pl.min_horizontal("end", "out_end") - pl.max_horizontal("start", "out_start"))
            .dt.total_minutes()
            .clip(0)
            .alias("inside")
        )
        .group_by("symbol")
        .agg(pl.col("inside").sum())
    )
    per = (
        gaps.group_by("symbol").agg(pl.col("minutes").sum().alias("missing"), pl.len().alias("gaps"), (pl.col("minutes") >= 5).sum().alias("long"))
        .join(shared, on="symbol", how="left").with_columns(pl.col("inside").fill_null(0))
        .with_columns((pl.col("missing") - pl.col("inside")).alias("own"))
        .sort("own", "symbol", descending=[True, False])
    )  # fmt: skip
    rows: Rows = [
        [s["symbol"], f"{s['missing']:,}", f"{s['inside']:,}", f"{s['own']:,}", f"{s['gaps']:,}", f"{s['long']:,}"]
        for s in per.head(shown).iter_rows(named=True)
    ]
    few = f" ({shown} of {per.height:,} symbols)" if per.height > shown else ""
    heads = ("Symbol", "Minutes missing", "In outages", "Its own", "Gaps", "Of 5 minutes or more")
    note = "Many short gaps of its own are thin trading; few long ones are a halt or a hole in its data. Sessions without any bar are not counted."
    return Table(f"Outages against thin trading{few}", heads, rows, note=note)


def early_days(sessions: Sequence[Any]) -> set[date]:
    """The half days among sessions of the model, or rows of the table (session, early_close)."""
    return {s.name for s in sessions if s.early_close}
