"""`bt data` and `bt quality`: what is in a store, and how complete it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from bt.cli.failures import DONE, USAGE, block
from bt.cli.options import columns_given, in_options, symbols_given
from bt.cli.progress import progress_bar
from bt.cli.streams import Output
from bt.cli.tables import counts, facts, listing, plural, size, some, span
from bt.config import from_mapping
from bt.errors import BtError, ConfigError, DataError
from bt.model import DataSpec, Session, instant
from bt.research import Quality, load_quality
from bt.schema import FAULT_REASONS, OUTSIDE_REASONS
from bt.sessions import TimeManager
from bt.store import Store


@dataclass(frozen=True)
class Asked:
    """Options of `bt data` and `bt quality`, as typed."""

    bars: str
    calendar: str
    stamp: str
    tz: str
    column: Sequence[str]
    symbols: Sequence[str] = ()
    start: str = ""
    end: str = ""

    def data(self) -> DataSpec:
        """What they say about the data, checked as [data] of a configuration is."""
        table: dict[str, Any] = {"bars": self.bars, "stamp": self.stamp, "timezone": self.tz}
        table["columns"] = columns_given(self.column)
        if self.calendar:
            table["calendar"] = self.calendar
        if self.symbols:
            table["symbols"] = symbols_given(self.symbols)
        # [session] and [strategy] have to be there; nothing reads them
        others = {"session": {"start": "2024-01-02", "end": "2024-01-02"}, "strategy": {"use": "no.strategy:None"}}
        return from_mapping({"data": table, **others}, base=Path.cwd(), source="command line").data

    def quality(self, output: Output, **more: Any) -> Quality:
        """The quality of the bars, with a progress bar."""
        data = self.data()
        with in_options(), progress_bar("sessions", "bars", shown=output.shows_progress) as progress:
            return load_quality(
                data.bars, data.calendar, self.start or None, self.end or None, symbols=data.symbols, progress=progress,
                stamp=data.stamp, timezone=data.timezone, columns=data.columns, **more,
            )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- bt data


def show_data(output: Output, asked: Asked, *, everything: bool) -> int:
    """Tell what is in the store; file faults are listed as problems, with exit code 2."""
    data = asked.data()
    if asked.calendar:
        TimeManager(data.calendar)  # a misspelt calendar is told before files are read
    try:
        with in_options(), progress_bar("files", "rows", shown=output.shows_progress) as progress:
            store = Store.open(data, progress=progress)
    except DataError as error:
        return _unusable(output, data, error)
    try:
        found, problems = _found(store), []
        quality = None
        if asked.calendar:
            try:
                quality = asked.quality(output, worst=0, gap_lists=False)
            except BtError as error:
                problems.append(str(error))
        _with_sessions(found, quality, asked.calendar)
        found["problems"] = [*problems, *_faults(store, found)]
        if output.as_json:
            output.json({**found, "symbols": _symbols(store, quality)})
        else:
            _tell_data(output, found, _symbols(store, quality), everything=everything)
    finally:
        store.close()
    return USAGE if problems else DONE


def _unusable(output: Output, data: DataSpec, error: DataError) -> int:
    """The problems of a store that cannot be opened."""
    first, *rest = str(error).splitlines()
    problems = [line.strip() for line in rest] or [first]
    if output.as_json:
        told = {"type": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
        output.json({"store": data.bars, "problems": problems, "error": told})
    else:
        output.message(block(str(error)))
    return error.exit_code


def _found(store: Store) -> dict[str, Any]:
    """What is known of the store as a whole."""
    layout = store.layout
    return {
        "store": store.data.bars,
        "files": store.files.height,
        "bytes": store.bytes,
        "symbol_count": len(store.symbols),
        "bars": store.rows,
        "first": instant(min(store.first.values())),
        "last": instant(max(store.last.values())),
        "time_column": layout.time,
        "timezone": layout.zone or "UTC",
        "stamp": store.data.stamp,
        "symbol_column": layout.symbol or "(folder names)",
        "extra_columns": list(layout.extras),
        "faulty": _total(store.spans.select(pl.col(*FAULT_REASONS[:4], "duplicate").sum()).row(0, named=True)),
        "fingerprint": store.fingerprint,
    }


def _total(reasons: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in reasons.items() if count}


def _with_sessions(found: dict[str, Any], quality: Quality | None, calendar: str) -> None:
    """Add what a calendar tells: sessions, rows outside them, and faults with conflicting copies told apart."""
    found["calendar"] = calendar or None
    found["sessions"] = found["outside"] = None
    if quality is None:
        return
    held = quality.table.filter(pl.col("present") > 0)
    found["sessions"] = {
        "first": quality.sessions[0].name,
        "last": quality.sessions[-1].name,
        "count": len(quality.sessions),
        "with_bars": held["session"].n_unique(),
        "early_closes": sum(s.early_close for s in quality.sessions),
    }
    by_reason = dict(quality.guards.group_by("reason").agg(pl.col("rows").sum()).iter_rows())
    found["outside"] = _total({reason: by_reason.get(reason, 0) for reason in OUTSIDE_REASONS})
    found["faulty"] = _total({reason: by_reason.get(reason, 0) for reason in FAULT_REASONS})


def _faults(store: Store, found: Mapping[str, Any]) -> list[str]:
    """Problems that a run survives."""
    problems = []
    if found["faulty"]:
        faulty = store.spans.filter(pl.sum_horizontal(*FAULT_REASONS[:4], "duplicate") > 0)
        names = [store.symbols[code] for code in faulty["code"].unique().sort()]
        where = f" in {some(names)}" if names else ""
        problems.append(f"faulty rows{where}, which a run withholds: {counts(found['faulty'].items())}")
    if floats := [symbol for symbol, decimals in store.decimals.items() if decimals is None]:
        problems.append(f"prices with more than 8 decimals: means of {some(floats)} are floats, not exact")
    return problems


def _symbols(store: Store, quality: Quality | None) -> list[dict[str, Any]]:
    """One entry a symbol."""
    rows = dict(store.spans.group_by("code").agg(pl.col("rows").sum()).iter_rows())
    fault = pl.sum_horizontal(*FAULT_REASONS[:4], "duplicate")
    by_code = store.spans.group_by("code").agg(fault.sum())
    faulty = {store.symbols[code]: count for code, count in by_code.iter_rows()}
    sessions: dict[str, int] = {}
    inside: dict[str, int] = {}
    if quality is not None:
        bad = quality.guards.filter(pl.col("reason").is_in(FAULT_REASONS))
        faulty = dict(bad.group_by("symbol").agg(pl.col("rows").sum()).iter_rows())
        held = quality.table.filter(pl.col("present") > 0).group_by("symbol").agg(pl.len(), pl.col("present").sum())
        for symbol, count, present in held.iter_rows():
            sessions[symbol], inside[symbol] = count, present
    return [
        {
            "symbol": symbol,
            "first": instant(store.first[symbol]),
            "last": instant(store.last[symbol]),
            "rows": rows[code],
            "sessions": None if quality is None else sessions.get(symbol, 0),
            "in_sessions": None if quality is None else inside.get(symbol, 0),
            "decimals": store.decimals[symbol],
            "faulty": faulty.get(symbol, 0),
        }
        for code, symbol in enumerate(store.symbols)
    ]


def _tell_data(
    output: Output, found: Mapping[str, Any], symbols: Sequence[Mapping[str, Any]], *, everything: bool
) -> None:
    sessions, outside = found["sessions"], found["outside"]
    first, last = (f"{found[name]:%Y-%m-%d %H:%M}" for name in ("first", "last"))
    lines = [
        ("store", found["store"]),
        ("files", f"{plural(found['files'], 'Parquet file')}, {size(found['bytes'])}"),
        ("symbols", f"{found['symbol_count']:,}"),
        ("bars", f"{found['bars']:,} rows, {first} to {last} UTC"),
        ("columns", f"{found['time_column']} ({found['stamp']} of the minute, {found['timezone']}), {found['symbol_column']}, open, high, low, close, volume"
         + "".join(f", {name}" for name in found["extra_columns"])),
    ]  # fmt: skip
    if sessions is not None:
        early = f", {plural(sessions['early_closes'], 'early close')}" if sessions["early_closes"] else ""
        told = f"{sessions['with_bars']:,} of {found['calendar']}'s {sessions['count']:,} have bars"
        lines.append(("sessions", f"{told}, {span(sessions['first'], sessions['last'])}{early}"))
        lines.append(
            (
                "outside",
                f"{plural(sum(outside.values()), 'row')} outside sessions: {counts(outside.items())}"
                if outside
                else "no row outside sessions",
            )
        )
    elif found["calendar"] is None:
        lines.append(("sessions", "unknown without a calendar: --calendar XNYS counts them"))
    lines += [("problems" if i == 0 else "", text) for i, text in enumerate(found["problems"] or ["none"])]
    facts(output, lines)
    heads, rows = ["symbol", "first", "last", "rows"], []
    if sessions is not None:
        heads += ["sessions", "bars inside"]
    for s in symbols:
        row = [s["symbol"], f"{s['first']:%Y-%m-%d}", f"{s['last']:%Y-%m-%d}", f"{s['rows']:,}"]
        if sessions is not None:
            row += [f"{s['sessions']:,}", f"{s['in_sessions']:,}"]
        rows.append((*row, "none" if s["decimals"] is None else str(s["decimals"]), f"{s['faulty']:,}"))
    listing(output, "By symbol (days in UTC):", [*heads, "decimals", "faulty"], rows, left=3, everything=everything)


# -------------------------------------------------------------------------------------------------------- bt quality


def show_quality(output: Output, asked: Asked, *, interval: str, everything: bool) -> int:
    """Tell how complete every symbol and session is, worst first, and where the longest gaps are."""
    if not asked.calendar:
        raise ConfigError(
            "--calendar: it must be given, was not; it says which minutes are expected, for example --calendar XNYS"
        )
    quality = asked.quality(output, intervals=(interval,), gap_lists=output.as_json)
    table = quality.table
    by_symbol = _by_symbol(table).to_dicts()
    by_session = _by_session(table)
    summary = {
        "store": asked.data().bars,
        "calendar": asked.calendar,
        "interval": interval,
        "start": quality.sessions[0].name,
        "end": quality.sessions[-1].name,
        "sessions": len(quality.sessions),
        "symbols": len(by_symbol),
        "quality": table["quality"].mean(),
        "withheld": dict(quality.guards.group_by("reason").agg(pl.col("rows").sum()).sort("reason").iter_rows()),
    }
    if output.as_json:
        output.json({
            **summary, "by_symbol": by_symbol, "by_session": by_session.to_dicts(),
            "worst_gaps": quality.worst.to_dicts(), "table": table.to_dicts(),
        })  # fmt: skip
        return DONE
    zone = ZoneInfo(TimeManager(asked.data().calendar).zone)
    _tell_quality(output, summary)
    if len(by_symbol) == 1:
        _one_symbol(output, table, zone, everything=everything)
    else:
        _all_symbols(output, by_symbol, by_session, quality.sessions, everything=everything)
    _worst(output, quality.worst, zone)
    return DONE


def _by_symbol(table: pl.DataFrame) -> pl.DataFrame:
    """One row a symbol, the least complete first: mean and lowest quality, full and empty sessions, missing units."""
    return (
        table.group_by("symbol")
        .agg(
            pl.col("quality").mean().alias("quality"),
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
    unit = "minutes" if summary["interval"] == "1m" else f"complete {summary['interval']} bars"
    lines = [
        ("store", summary["store"]),
        ("sessions", f"{summary['sessions']:,} of {summary['calendar']}, {span(summary['start'], summary['end'])}"),
        ("symbols", f"{summary['symbols']:,}"),
        ("quality", f"{summary['quality']:.2f} % of expected {unit}, mean over symbols and sessions"),
    ]
    if summary["withheld"]:
        lines.append(("withheld", counts(summary["withheld"].items())))
    facts(output, lines)


def _minutes(value: int | None) -> str:
    return f"{value:,} min" if value else "-"


def _all_symbols(
    output: Output, by_symbol: Sequence[Mapping[str, Any]], by_session: pl.DataFrame, sessions: Sequence[Session], *,
    everything: bool,
) -> None:  # fmt: skip
    heads = ("symbol", "mean %", "lowest %", "on", "full", "empty", "missing", "longest gap")
    rows = [
        (s["symbol"], f"{s['quality']:.2f}", f"{s['lowest']:.2f}", f"{s['lowest_session']}", f"{s['full_sessions']:,}",
         f"{s['empty_sessions']:,}", f"{s['missing']:,}", _minutes(s["longest_gap_minutes"]))
        for s in by_symbol
    ]  # fmt: skip
    title = "By symbol, least complete first (full and empty: sessions):"
    listing(output, title, heads, rows, everything=everything)
    early = {s.name for s in sessions if s.early_close}
    chosen = by_session if everything else by_session.sort("quality", "session").head(5)
    rows = [
        (f"{s['session']}", f"{s['quality']:.2f}", f"{s['expected']:,}", f"{s['full_symbols']:,}",
         f"{s['empty_symbols']:,}", "early close" if s["session"] in early else "")
        for s in chosen.to_dicts()
    ]  # fmt: skip
    title = "By session" if everything else "Least complete sessions"
    heads = ("session", "mean %", "expected", "full", "empty", "")
    listing(
        output, f"{title} (mean over symbols that have bars; full and empty: symbols):", heads, rows, everything=True
    )


def _one_symbol(output: Output, table: pl.DataFrame, zone: ZoneInfo, *, everything: bool) -> None:
    """Every session of the only symbol."""
    rows = [
        (f"{r['session']}", f"{r['present']:,}", f"{r['expected']:,}", f"{r['quality']:.2f}",
         _minutes(r["longest_gap_minutes"]), _clock(r["longest_gap_start"], zone))
        for r in table.to_dicts()
    ]  # fmt: skip
    heads = ("session", "present", "expected", "quality %", "longest gap", "from")
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


def _clock(time: datetime | None, zone: ZoneInfo) -> str:
    return "" if time is None else f"{time.astimezone(zone):%H:%M}"
