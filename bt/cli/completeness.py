"""`bt quality`: how complete symbols and sessions are, where the longest gaps lie, and when the whole market was gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from bt.cli.asked import Asked
from bt.cli.failures import DONE
from bt.cli.streams import Output
from bt.cli.tables import counts, facts, listing, span
from bt.errors import ConfigError
from bt.model import Session
from bt.report import QualityTold, quality_page
from bt.research import Quality
from bt.run import write_page
from bt.sessions import TimeManager


def show_quality(output: Output, asked: Asked, *, interval: str, everything: bool, html: Path | None = None) -> int:
    """Tell how complete every symbol and session is, worst first, and where the longest gaps are; `html` is the file of a page of it."""
    if not asked.calendar:
        raise ConfigError(
            "--calendar: it must be given, was not; it says which minutes are expected, for example --calendar XNYS"
        )
    quality = asked.quality(output, intervals=(interval,), gap_lists=output.as_json or html is not None)
    table = quality.table
    by_symbol = _by_symbol(table).to_dicts()
    by_session = _by_session(table)
    summary: dict[str, Any] = {
        "store": asked.data().bars,
        "calendar": asked.calendar,
        "interval": interval,
        "start": quality.sessions[0].name,
        "end": quality.sessions[-1].name,
        "sessions": len(quality.sessions),
        "symbols": len(by_symbol),
        "quality": table["quality"].mean(),
        "completeness": table["completeness"].mean(),
        "withheld": dict(quality.guards.group_by("reason").agg(pl.col("rows").sum()).sort("reason").iter_rows()),
    }
    zone = ZoneInfo(TimeManager(asked.data().calendar).zone)
    if html is not None:
        summary["html"] = Path.cwd() / html
        _write_page(summary, quality, zone)
    if output.as_json:
        output.json({
            **summary, "by_symbol": by_symbol, "by_session": by_session.to_dicts(),
            "worst_gaps": quality.worst.to_dicts(), "outages": quality.outages.to_dicts(), "table": table.to_dicts(),
        })  # fmt: skip
        return DONE
    _tell_quality(output, summary)
    if len(by_symbol) == 1:
        _one_symbol(output, table, zone, everything=everything)
    else:
        _all_symbols(output, by_symbol, by_session, quality.sessions, everything=everything)
    _worst(output, quality.worst, zone)
    _outages(output, quality.outages, zone, everything=everything)
    if html is not None:
        facts(output, [], whole=[("page", str(summary["html"]))])
    return DONE


def _write_page(summary: Mapping[str, Any], quality: Quality, zone: ZoneInfo) -> None:
    """The page at ``summary["html"]``."""
    told = QualityTold(
        _lines(summary),
        quality.table,
        quality.worst,
        quality.outages,
        quality.guards,
        quality.sessions,
        zone.key,
        summary["interval"],
    )
    write_page(summary["html"], quality_page(told))


def _by_symbol(table: pl.DataFrame) -> pl.DataFrame:
    """One row a symbol, the least complete first: mean and lowest quality, mean completeness, full and empty sessions, missing units."""
    return (
        table.group_by("symbol")
        .agg(
            pl.col("quality").mean().alias("quality"),
            pl.col("completeness").mean(),
            pl.col("quality").min().alias("lowest"),
            pl.col("session").sort_by("quality", "session").first().alias("lowest_session"),
            (pl.col("present") == pl.col("expected")).sum().alias("full_sessions"),
            (pl.col("present") == 0).sum().alias("empty_sessions"),
            (pl.col("expected") - pl.col("present")).sum().alias("missing"),
            pl.col("longest_gap_minutes").filter(pl.col("present") > 0).max().alias("longest_gap_minutes"),
        )
        .sort("quality", "symbol")
    )


def _by_session(table: pl.DataFrame) -> pl.DataFrame:
    """One row a session: mean quality over the symbols that have bars, and how many symbols are full and empty."""
    return (
        table.group_by("session")
        .agg(
            pl.col("quality").filter(pl.col("present") > 0).mean().fill_null(0.0).alias("quality"),
            pl.col("expected").max(),
            (pl.col("present") == pl.col("expected")).sum().alias("full_symbols"),
            (pl.col("present") == 0).sum().alias("empty_symbols"),
        )
        .sort("session")
    )


def _tell_quality(output: Output, summary: Mapping[str, Any]) -> None:
    facts(output, _lines(summary))


def _lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    unit = "minutes" if summary["interval"] == "1m" else f"complete {summary['interval']} bars"
    lines = [
        ("store", summary["store"]),
        ("sessions", f"{summary['sessions']:,} of {summary['calendar']}, {span(summary['start'], summary['end'])}"),
        ("symbols", f"{summary['symbols']:,}"),
        ("quality", f"{summary['quality']:.2f} % of expected {unit}, mean over symbols and sessions"),
    ]
    if summary["completeness"] is not None:
        lines.append(("complete", f"{summary['completeness']:.2f} % of the minutes that symbols usually have"))
    if summary["withheld"]:
        lines.append(("withheld", counts(summary["withheld"].items())))
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _minutes(value: int | None) -> str:
    return f"{value:,} min" if value else "-"


def _all_symbols(
    output: Output, by_symbol: Sequence[Mapping[str, Any]], by_session: pl.DataFrame, sessions: Sequence[Session], *,
    everything: bool,
) -> None:  # fmt: skip
    heads = ("symbol", "mean", "complete", "lowest", "on", "full", "empty", "missing", "longest gap")
    rows = [
        (s["symbol"], f"{s['quality']:.2f}", _percent(s["completeness"]), f"{s['lowest']:.2f}", f"{s['lowest_session']}", f"{s['full_sessions']:,}",
         f"{s['empty_sessions']:,}", f"{s['missing']:,}", _minutes(s["longest_gap_minutes"]))
        for s in by_symbol
    ]  # fmt: skip
    title = "By symbol in percent, least complete first (full and empty: sessions):"
    listing(output, title, heads, rows, everything=everything)
    early = {s.name for s in sessions if s.early_close}
    chosen = by_session if everything else by_session.sort("quality", "session").head(5)
    lines = [
        (f"{s['session']}", f"{s['quality']:.2f}", f"{s['expected']:,}", f"{s['full_symbols']:,}",
         f"{s['empty_symbols']:,}", "early close" if s["session"] in early else "")
        for s in chosen.to_dicts()
    ]  # fmt: skip
    title = "By session" if everything else "Least complete sessions"
    columns = ("session", "mean %", "expected", "full", "empty", "")
    title += " (mean over symbols that have bars; full and empty: symbols):"
    listing(output, title, columns, lines, everything=True)


def _one_symbol(output: Output, table: pl.DataFrame, zone: ZoneInfo, *, everything: bool) -> None:
    """Every session of the only symbol."""
    rows = [
        (f"{r['session']}", f"{r['present']:,}", f"{r['expected']:,}", f"{r['quality']:.2f}", _percent(r["completeness"]),
         _minutes(r["longest_gap_minutes"]), _clock(r["longest_gap_start"], zone))
        for r in table.to_dicts()
    ]  # fmt: skip
    heads = ("session", "present", "expected", "quality %", "complete %", "longest gap", "from")
    listing(output, f"{table['symbol'][0]} by session (times of {zone.key}):", heads, rows, everything=everything)


def _worst(output: Output, worst: pl.DataFrame, zone: ZoneInfo) -> None:
    if worst.is_empty():
        output.text("\nNo gap in any session that has bars.")
        return
    rows = [
        (r["symbol"], f"{r['session']}", _clock(r["start"], zone), _clock(r["end"], zone), f"{r['minutes']:,}")
        for r in worst.to_dicts()
    ]
    heads = ("symbol", "session", "from", "to", "minutes")
    listing(output, f"Longest gaps inside sessions (times of {zone.key}):", heads, rows, left=2, everything=True)


def _outages(output: Output, outages: pl.DataFrame, zone: ZoneInfo, *, everything: bool) -> None:
    """Nothing is said of a store without any."""
    if outages.is_empty():
        return
    rows = [
        (f"{r['session']}", _clock(r["start"], zone), _clock(r["end"], zone), f"{r['minutes']:,}", f"{r['lacking']:.0%}",
         f"{r['symbols']:,}", "whole session" if r["whole_session"] else "")
        for r in outages.to_dicts()
    ]  # fmt: skip
    title = f"Outages, when most liquid symbols lack bars (times of {zone.key}):"
    heads = ("session", "from", "to", "minutes", "lacking", "of symbols", "")
    listing(output, title, heads, rows, everything=everything)


def _clock(time: datetime | None, zone: ZoneInfo) -> str:
    return "" if time is None else f"{time.astimezone(zone):%H:%M}"
