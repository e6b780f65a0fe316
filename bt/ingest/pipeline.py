"""An ingest from end to end.

1. `find` lists the files, `_planned` hashes each and tells new, changed and known ones apart.
2. `_read` streams those that are not known through their importer and a Cleaner into the Spool; bad rows are refused on the way.
3. `_build` takes back one day at a time, merges it with what the store has, and writes its file.
4. `commit.publish` makes it all the store, `commit.sweep` deletes what it replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import polars as pl

from bt.errors import DataError
from bt.ingest import commit, detect, manifest
from bt.ingest.clean import Cleaner, iso
from bt.ingest.days import Day, Origins, merge, runs
from bt.ingest.layout import KINDS, schema, write_day
from bt.ingest.manifest import Entry, Manifest, StoredDay
from bt.ingest.options import IngestOptions
from bt.ingest.report import Conflict, IngestReport, SourceReport
from bt.ingest.seam import Importer, NotBars
from bt.ingest.sources import Source, digest, find
from bt.ingest.spool import Spool
from bt.ingest.stored import damaged, iso_day, staying
from bt.model import Schedule

Progress = Callable[[int, int, int], None]
"""Called as ``progress(sources_done, sources_total, rows_read)``."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A source, its hash, and what is to be done. `replaces` are ids of entries whose bars it takes the place of."""

    source: Source
    sha256: str
    status: Literal["new", "replaced", "known"]
    replaces: tuple[int, ...] = ()
    known: Entry | None = None


@dataclass(slots=True)
class Work:
    """What one ingest has gathered so far. `damaged` are ids of sources that must be read again, `contents` the sources there are by SHA-256."""

    damaged: set[int]
    contents: dict[str, list[Entry]]
    entries: list[Entry] = field(default_factory=list)
    known: list[Entry] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    replaced: set[int] = field(default_factory=set)
    duplicates: Counter[int] = field(default_factory=Counter)
    merged: Counter[int] = field(default_factory=Counter)
    conflicts: list[Conflict] = field(default_factory=list)
    days_written: int = 0

    @staticmethod
    def on(old: Manifest, store: Path) -> Work:
        """Before the first source."""
        work = Work(damaged(store, old), {})
        for entry in old.entries:
            work.contents.setdefault(entry.report.sha256, []).append(entry)
        return work

    def add(self, entry: Entry) -> None:
        """Take a source that was read."""
        self.entries.append(entry)
        self.contents.setdefault(entry.report.sha256, []).append(entry)


def ingest_files(
    sources: Sequence[Path | str],
    to: Path,
    options: IngestOptions,
    *,
    schedule: Schedule | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Read vendor files into the store `to`, and tell what was read, kept and refused.

    Sources are known by content, and by the symbol in the file's name where no column has it: one that the store has, read with the same
    options, is not read again; one at the same path with other content, or read with other options, replaces what it gave before. Memory holds a batch, a piece of the spool and one day.

    Parameters
    ----------
    sources
        Files, folders (searched recursively; what holds no minute bars is skipped and told) and globs.
    schedule
        With a calendar the report counts bars outside its segments and says when stamps look unlike what was declared. No bar is
        dropped for it.
    progress
        Called after every batch.

    Raises
    ------
    UsageError
        Nothing to read, or another process is writing the store.
    DataError
        A file fault (unreadable, a column missing, naive stamps without a zone), or with ``on_bad="raise"`` the first bad row. A damaged file
        of the store that other sources than these have a part in.
    ResultsError
        The disk is full or not writable. In each case the store is as it was.
    """
    store = Path(to).expanduser().resolve()
    found = [source for source in find(sources) if store not in source.path.parents]
    with commit.staging(store) as stage:
        old = manifest.load(store)
        commit.sweep(store, old)
        work = Work.on(old, store)
        spool = Spool(stage / "spool")
        _read(found, old, options, spool, work, schedule=schedule, progress=progress)
        if not work.entries and not old.days:
            raise DataError(f"{sources[0]}: sources must hold minute bars, held none; {_why(work)}")
        kept = _kept(old, work)
        if not work.entries and kept == old.entries:
            return _report(store, old, old, work)
        built = stage / "store"
        new = manifest.write(_build(old, kept, spool, work, store=store, built=built, options=options), built)
        commit.publish(built, store)
    commit.sweep(store, new)
    return _report(store, old, new, work)


def _planned(source: Source, old: Manifest, work: Work, options: IngestOptions) -> Planned:
    """What is to be done about a source, after those that `work` has read already."""
    sha256 = digest(source.path)
    same = [
        e
        for e in work.contents.get(sha256, ())
        if not e.told or e.told == detect.named(e.report.format).told(source.path, options)
    ]
    exact = next((e for e in same if e.options == options.fingerprint() and e.id not in work.damaged), None)
    if exact is not None:
        report = replace(exact.report, path=str(source.path), status="known")
        return Planned(source, sha256, "known", known=replace(exact, report=report))
    here = [e for e in old.entries if e.report.path == str(source.path)]
    if here or same:
        return Planned(source, sha256, "replaced", tuple({e.id for e in (*here, *same)}))
    return Planned(source, sha256, "new")


def _read(
    found: Sequence[Source],
    old: Manifest,
    options: IngestOptions,
    spool: Spool,
    work: Work,
    *,
    schedule: Schedule | None,
    progress: Progress | None,
) -> None:
    rows = 0
    first_id = max((e.id for e in old.entries), default=-1) + 1
    for done, source in enumerate(found):
        planned = _planned(source, old, work, options)
        if planned.known is not None:
            work.known.append(planned.known)
        else:
            cleaner = Cleaner(planned.source.path, options, schedule)
            number = first_id + len(work.entries)
            try:
                reader = detect.importer(planned.source.path, options.format)
                for batch in reader.batches(planned.source.path, options):
                    spool.add(cleaner.clean(batch), number)
                    if progress is not None:
                        progress(done, len(found), rows + cleaner.rows)
                cleaner.check()
            except NotBars as error:
                if planned.source.named or options.format != "auto" or cleaner.rows:
                    raise
                work.skipped.append((str(planned.source.path), str(error)))
                continue
            rows += cleaner.rows
            work.replaced.update(planned.replaces)
            work.add(_entry(number, reader, planned, options, cleaner))
        if progress is not None:
            progress(done + 1, len(found), rows)
    spool.flush()


def _entry(number: int, reader: Importer, planned: Planned, options: IngestOptions, cleaner: Cleaner) -> Entry:
    first, last = (iso(t) for t in cleaner.span) if cleaner.span else ("", "")
    report = SourceReport(
        str(planned.source.path), reader.name, planned.sha256, planned.status, cleaner.rows, cleaner.bars, len(cleaner.symbols),
        first, last, cleaner.refusals(), cleaner.edges.outside if cleaner.edges else None,
        cleaner.edges.looks if cleaner.edges else "", dict(cleaner.ignored), cleaner.rounded,
        dates=cleaner.dates,
    )  # fmt: skip
    told = reader.told(planned.source.path, options) if cleaner.unnamed else ""
    return Entry(number, options.fingerprint(), cleaner.has, cleaner.fractional, report, told)


def _kept(old: Manifest, work: Work) -> tuple[Entry, ...]:
    """The sources of the store that stay: none that was found again is replaced, and one found under other names only has the first of these,
    so that what its former name holds now is another source."""
    paths: dict[int, list[str]] = {}
    for entry in work.known:
        paths.setdefault(entry.id, []).append(entry.report.path)
    work.replaced -= paths.keys()
    staying = [(e, paths.get(e.id, [e.report.path])) for e in old.entries if e.id not in work.replaced]
    return tuple(
        e if e.report.path in names else replace(e, report=replace(e.report, path=names[0])) for e, names in staying
    )


def _build(
    old: Manifest, kept: Sequence[Entry], spool: Spool, work: Work, *, store: Path, built: Path, options: IngestOptions
) -> Manifest:
    """Write every day that changes, and the manifest's content after it."""
    with_bars = [e for e in (*kept, *work.entries) if e.report.bars]
    optional = tuple(c for c in KINDS if any(c in e.has for e in with_bars))
    columns = schema(fractional=any(e.fractional for e in with_bars), optional=optional)
    named = {f.name: str(f.type) for f in columns}
    origins = Origins(old.origins)
    touched = {n for n, ids in enumerate(origins.sets) if work.replaced & set(ids)}
    stale = set(old.index["day"] if old.columns != named else old.index.filter(pl.col("origin").is_in(touched))["day"])
    days = dict(old.days)
    changed = sorted(stale | set(spool.days()))
    index = [old.index.filter(~pl.col("day").is_in(changed))]
    built.mkdir()
    for number in changed:
        day = iso_day(number)
        parts = [*staying(store, old, number, origins, work.replaced), spool.take(number)]
        merged = merge(pl.concat([p.select(parts[-1].columns) for p in parts]), origins, day)
        former = days.pop(day, None)
        if options.on_bad == "raise":
            _sound(merged, former, work)
        if merged.bars.is_empty():
            continue
        written = write_day(merged.bars, day, built, columns)
        days[day] = StoredDay(written, merged.bars.height, merged.conflicts)
        index.append(runs(merged.bars, number))
        work.days_written += 1
        work.conflicts += merged.conflicts
        work.duplicates.update(merged.duplicates)
        work.merged.update(merged.merged)
    if not days:
        raise DataError(f"{work.entries[0].report.path}: sources must hold minute bars, no row was kept; {_why(work)}")
    work.entries = [_with_copies(e, work) for e in work.entries]
    table = pl.concat([part.select(*manifest.INDEX) for part in index]).sort("day", maintain_order=True)
    return Manifest((*kept, *work.entries), tuple(origins.sets), days, table, named)


def _sound(day: Day, former: StoredDay | None, work: Work) -> None:
    """Nothing, or a DataError for a row repeated within a source, or a conflict that the day did not have before."""
    paths = {e.id: e.report.path for e in work.entries}
    hint = "mend it, or go on with --on-bad isolate"
    if day.duplicates:
        source, count = min(day.duplicates.items())
        raise DataError(f"{paths[source]}: rows must be there once, {count} were repeated on one day; {hint}")
    if day.conflicts and (former is None or former.conflicts != day.conflicts):
        first = day.conflicts[0]
        raise DataError(
            f"{first.symbol} {first.time}: bars of a minute must agree, {first.rows} rows of that day do not; {hint}"
        )


def _with_copies(entry: Entry, work: Work) -> Entry:
    report = replace(entry.report, duplicates=work.duplicates[entry.id], merged=work.merged[entry.id])
    return replace(entry, report=report)


def _why(work: Work) -> str:
    if work.skipped:
        return f"the first was skipped: {work.skipped[0][1]}"
    reasons = [f"{r.rows} {r.reason}" for e in work.entries for r in e.report.refused]
    return f"refused: {', '.join(reasons)}" if reasons else "name minute files"


def _report(store: Path, old: Manifest, now: Manifest, work: Work) -> IngestReport:
    return IngestReport(
        store=store,
        sources=tuple(e.report for e in (*work.entries, *work.known)),
        skipped=tuple(work.skipped),
        replaced=tuple(e.report for e in old.entries if e.id in work.replaced),
        conflicts=tuple(work.conflicts),
        days_written=work.days_written,
        days_deleted=len(old.days.keys() - now.days.keys()),
        days=len(now.days),
        symbols=now.index["symbol"].n_unique(),
        bars=sum(d.rows for d in now.days.values()),
        bytes=sum(d.written.bytes for d in now.days.values()),
    )
