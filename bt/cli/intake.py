"""`bt sample` and `bt ingest`: what writes stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bt.cli.failures import DONE
from bt.cli.options import columns_given
from bt.cli.progress import progress_bar
from bt.cli.streams import Output
from bt.cli.tables import counts, facts, listing, plural, size
from bt.errors import ResultsError, UsageError
from bt.ingest import IngestOptions, IngestReport, SourceReport, ingest_files
from bt.model import Schedule
from bt.sample import CALENDAR, END, SESSIONS, START, SYMBOLS, write_sample
from bt.sessions import TimeManager


def write_the_sample(output: Output, folder: Path) -> int:
    """Write the sample market into `folder`."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: DIR must be a folder or new, was a file; name another one")
    try:
        files = write_sample(folder, schedule=TimeManager(CALENDAR).schedule(START, END))
    except OSError as error:
        raise ResultsError(
            f"{folder}: it must be writable, was not ({error.strerror}); choose another folder"
        ) from error
    configs = [path for path in files if path.suffix == ".toml"]
    first = next(path for path in configs if path.stem == "sma_cross")
    total = sum(path.stat().st_size for path in files)
    if output.as_json:
        output.json({
            "folder": folder, "files": len(files), "bytes": total, "store": folder / "sample", "calendar": CALENDAR,
            "symbols": len(SYMBOLS), "sessions": SESSIONS, "configs": configs,
        })  # fmt: skip
        return DONE
    facts(output, [
        ("written", f"{plural(len(files), 'file')}, {size(total)}, in {folder}"),
        ("store", f"{folder / 'sample'}: {len(SYMBOLS)} invented symbols, {SESSIONS} sessions of {CALENDAR}, {START} to {END}"),
        ("configs", ", ".join(path.name for path in configs)),
        ("about it", str(folder / "README.md")),
    ], whole=[("next", f"bt replay {first}")])  # fmt: skip
    return DONE


# --------------------------------------------------------------------------------------------------------- bt ingest


def ingest_the_files(
    output: Output, sources: Sequence[str], to: Path, *,
    calendar: str, price_divisor: str, price_decimals: str, column: Sequence[str], everything: bool = False, **options: Any,
) -> int:  # fmt: skip
    """Read `sources` into the store `to`; `everything` shows every row of long tables, `options` are those of `IngestOptions`."""
    asked = IngestOptions(columns=columns_given(column), **options)
    if price_divisor:
        asked = replace(asked, price_divisor=_number("price_divisor", price_divisor, float))
    if price_decimals != "auto":
        asked = replace(asked, price_decimals=_number("price_decimals", price_decimals, int))
    schedule = _every_session(TimeManager(calendar)) if calendar else None
    with progress_bar("files", "rows", shown=output.shows_progress) as progress:
        report = ingest_files(list(sources), to, asked, schedule=schedule, progress=progress)
    if output.as_json:
        output.json(report.to_dict())
    else:
        _tell(output, report, calendar, everything=everything)
    for warning in report.warnings:
        output.warn(warning)
    return DONE


def _number(name: str, text: str, kind: type[Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        what = "auto or 0 to 8" if kind is int else "a number"
        raise UsageError(f"ingest: {name} must be {what}, was {text!r}") from None


def _every_session(time: TimeManager) -> Schedule:
    """All the sessions that the calendar knows without being asked for more."""
    return time.known


def _tell(output: Output, report: IngestReport, calendar: str, *, everything: bool) -> None:
    known = len(report.sources) - report.new
    read = [s for s in report.sources if s.status != "known"]
    rows, kept, rounded = (sum(getattr(s, name) for s in read) for name in ("rows", "bars", "rounded"))
    lines = [
        ("read", f"{plural(report.new, 'file')}, {rows:,} rows, {kept:,} bars" + (f"; {known:,} known already" if known else "")),
        ("refused", counts(report.refused.items()) or "nothing"),
    ]  # fmt: skip
    if rounded:
        lines.append(("rounded", f"{plural(rounded, 'price')} by --price-decimals"))
    outside = sum(s.outside or 0 for s in read)
    if calendar and report.new:
        lines.append(
            (
                "outside",
                f"{plural(outside, 'bar')} outside the sessions of {calendar}"
                + ("; a run withholds them" if outside else ""),
            )
        )
    if report.skipped:
        lines.append(("skipped", f"{plural(len(report.skipped), 'file')} without minute bars"))
    if report.replaced:
        gone = sum(s.bars for s in report.replaced)
        lines.append(("replaced", f"{plural(len(report.replaced), 'earlier reading')}, {plural(gone, 'bar')}"))
    lines += [
        ("store", f"{report.store}: {plural(report.symbols, 'symbol')}, {plural(report.days, 'day')}, {report.bars:,} bars, {size(report.bytes)}"),
        ("written", plural(report.days_written, "day") + (f"; {report.days_deleted:,} deleted" if report.days_deleted else "")),
    ]  # fmt: skip
    facts(output, lines, whole=[("next", f"bt data {report.store} --calendar {calendar or 'NAME'}")])
    samples = [row for source in read for row in _samples(source)]
    if samples:
        heads = ("reason", "symbol", "column", "value", "file", "rows", "line")
        listing(output, "Refused rows, the first of each kind:", heads, samples, left=5, everything=everything)
    if report.skipped:
        why = [(Path(path).name, reason.removeprefix(f"{path}: ")) for path, reason in report.skipped]
        listing(output, "Skipped files:", ("file", "reason"), why, left=2, everything=everything)
    if report.replaced:
        former = [(Path(s.path).name, s.first, s.last, f"{s.bars:,}") for s in report.replaced]
        columns = ("file", "first", "last", "bars")
        listing(output, "Earlier readings that were replaced:", columns, former, left=3, everything=everything)


def _samples(source: SourceReport) -> list[tuple[str, ...]]:
    """The first refused row of each reason."""
    rows: list[tuple[str, ...]] = []
    for refusal in source.refused:
        first = refusal.samples[0]
        where = Path(source.path).name + (f"!{first.member}" if first.member else "")
        line = f"{first.line:,}" if first.line else ""
        rows.append((refusal.reason, first.symbol, first.column, first.value, where, f"{refusal.rows:,}", line))
    return rows
