"""``_store.json``: what a store consists of. It is written last, and a reader that follows it never sees half an ingest.

Its keys: ``version``; ``columns`` (name to Arrow type); ``days`` (ISO date to file, rows, bytes, sha256, conflicts); ``symbols`` (rows, first, last,
decimals: the smallest k for which 10^k scales every price to a whole number and back, null if no k <= 8 does); ``sources``
(as reported, with id and options fingerprint); ``origins`` (sets of source ids); ``index``, the file that says which rows came from
which origin: a Parquet table whose name does not end so, because it holds no bars.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from bt.errors import DataError
from bt.ingest.clean import iso
from bt.ingest.days import NO_SCALE
from bt.ingest.layout import Written, sync
from bt.ingest.report import Conflict, Refusal, Sample, SourceReport

NAME = "_store.json"
REPORT = "_report.json"
VERSION = 1
INDEX = {
    "day": pl.Int32, "symbol": pl.String, "origin": pl.Int32, "rows": pl.Int64, "first": pl.Int64, "last": pl.Int64,
    "decimals": pl.Int8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A source in the store. `has` are the optional columns it gave, `options` the fingerprint it was read with, `told` what its bars
    took from its path: with other values of it the same content is another source."""

    id: int
    options: str
    has: tuple[str, ...]
    fractional: bool
    report: SourceReport
    told: str = ""


@dataclass(frozen=True, slots=True)
class StoredDay:
    """A day file and what it holds."""

    written: Written
    rows: int
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A store's content. `index` has one row per run of rows of one symbol and origin, in file order, days sorted."""

    entries: tuple[Entry, ...] = ()
    origins: tuple[tuple[int, ...], ...] = ()
    days: Mapping[str, StoredDay] = field(default_factory=dict)
    index: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=INDEX))
    columns: Mapping[str, str] = field(default_factory=dict)
    index_file: str = ""

    def symbols(self) -> dict[str, dict[str, Any]]:
        """Rows, first and last open_time and price decimals of each symbol."""
        found = self.index.group_by("symbol").agg(
            pl.col("rows").sum(), pl.col("first").min(), pl.col("last").max(), pl.col("decimals").max()
        )
        return {
            row["symbol"]: {
                "rows": row["rows"],
                "first": iso(row["first"]),
                "last": iso(row["last"]),
                "decimals": None if row["decimals"] == NO_SCALE else row["decimals"],
            }
            for row in found.sort("symbol").iter_rows(named=True)
        }


def load(store: Path) -> Manifest:
    """The manifest of a store; an empty one where there is none.

    Raises
    ------
    DataError
        When the folder has bars but no manifest, or one that cannot be read.
    """
    path = store / NAME
    if not path.exists():
        if store.exists() and any(store.rglob("*.parquet")):
            hint = "give a new folder to --to"
            raise DataError(
                f"{store}: folder must be a store made by bt ingest, was one of other Parquet files; {hint}"
            )
        return Manifest()
    try:
        data = json.loads(path.read_text())
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']}")  # noqa: TRY301  told with every other damage
        index = pl.read_parquet(store / data["index"], memory_map=False)
        return Manifest(
            tuple(_entry(source) for source in data["sources"]),
            tuple(tuple(s) for s in data["origins"]),
            {day: _stored_day(value) for day, value in data["days"].items()},
            index,
            data["columns"],
            data["index"],
        )
    except (KeyError, ValueError, OSError, TypeError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{path}: manifest must be readable, was not ({error}); ingest the sources into a new folder"
        ) from error


def write(manifest: Manifest, folder: Path) -> Manifest:
    """Write the index, the report and, last, the manifest into `folder`; the manifest with its index file named."""
    draft = folder / "_index.part"
    manifest.index.write_parquet(draft, compression="zstd", statistics=False)
    sha256, _ = sync(draft)
    index = f"_index.{sha256[:12]}"
    draft.rename(folder / index)
    sources = [asdict(entry) for entry in manifest.entries]
    _write_json(folder / REPORT, {"sources": [s["report"] for s in sources], "conflicts": _conflicts(manifest)})
    _write_json(
        folder / NAME,
        {
            "version": VERSION,
            "columns": dict(manifest.columns),
            "days": {
                day: {**asdict(d.written), "rows": d.rows, "conflicts": [asdict(c) for c in d.conflicts]}
                for day, d in sorted(manifest.days.items())
            },
            "symbols": manifest.symbols(),
            "sources": sources,
            "origins": [list(s) for s in manifest.origins],
            "index": index,
        },
    )
    return replace(manifest, index_file=index)


def _conflicts(manifest: Manifest) -> list[dict[str, Any]]:
    return [asdict(c) for _, day in sorted(manifest.days.items()) for c in day.conflicts]


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")
    sync(path)


def _entry(data: dict[str, Any]) -> Entry:
    report = data["report"]
    refused = tuple(
        Refusal(r["reason"], r["rows"], tuple(Sample(**s) for s in r["samples"])) for r in report["refused"]
    )
    return Entry(
        data["id"],
        data["options"],
        tuple(data["has"]),
        data["fractional"],
        SourceReport(**{**report, "refused": refused}),
        data.get("told", ""),
    )


def _stored_day(data: dict[str, Any]) -> StoredDay:
    conflicts = tuple(Conflict(**c) for c in data["conflicts"])
    return StoredDay(Written(data["file"], data["bytes"], data["sha256"]), data["rows"], conflicts)
