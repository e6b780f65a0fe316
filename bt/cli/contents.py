"""`bt data`: what is in a store, as a whole and by symbol, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from bt.cli.asked import Asked
from bt.cli.failures import DONE, USAGE, block
from bt.cli.options import in_options
from bt.cli.progress import progress_bar
from bt.cli.streams import Output
from bt.cli.tables import counts, facts, listing, plural, size, some, span
from bt.errors import BtError, DataError
from bt.model import DataSpec, instant
from bt.research import Quality
from bt.schema import FAULT_REASONS, OUTSIDE_REASONS
from bt.sessions import TimeManager
from bt.store import Store


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
    if found["sessions"] is not None and not found["sessions"]["with_bars"]:
        problems.append(f"no bar lies inside a session of {found['calendar']}: check --calendar, --tz and --stamp")
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
