"""Every file's footer, checked before anything is read: DuckDB would cast a drifting column without a word.

`schemas_of` reads the footers, `layout_of_schemas` either returns the one `Layout` the files share or raises a DataError that lists every
fault found, up to twenty.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from bt.errors import ConfigError, DataError
from bt.model import DataSpec
from bt.schema import BAR_COLUMNS, PRICES
from bt.store.files import Stamp, several, stamp_of

TIME_NAMES = ("open_time", "ts", "timestamp", "time", "datetime", "date")
"""What a time column may be called without a mapping."""

SYMBOL_NAMES = ("symbol", "ticker")
"""What a symbol column may be called without a mapping."""

_RESERVED = {"code", "time", "symbol", "open_time", "close_time", "session", "fault"}
_CONTRACT = {"open_time", "symbol", *BAR_COLUMNS}
_HIVE_SYMBOL = re.compile(r"[/\\]symbol=([^/\\]+)[/\\]")
_LISTED = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files of one store spell a bar. All files agree on it.

    `columns` maps our names (prices, volume, extras) to the files' names, `types` to the files' Arrow types.
    `symbol` is None where the folder ``symbol=XYZ`` names it. `zone` is "" for timestamps that carry their zone.
    `nanoseconds` tells TIMESTAMP_NS from TIMESTAMP, which DuckDB does not compare.
    """

    time: str
    symbol: str | None
    columns: Mapping[str, str]
    types: Mapping[str, pa.DataType]
    zone: str
    nanoseconds: bool
    end_stamped: bool
    extras: tuple[str, ...]

    @property
    def key(self) -> str:
        """Hex digest of everything but the files' content that decides what their bars are."""
        bars = [self.columns[name] for name in BAR_COLUMNS] + [
            [n, self.columns[n]] for n in self.extras if self.columns[n] != n
        ]
        text = json.dumps([self.time, self.symbol, bars, self.zone, self.end_stamped])
        return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def hive_symbol(path: str) -> str | None:
    """The XYZ of a folder ``symbol=XYZ`` in `path`, if there is one."""
    found = _HIVE_SYMBOL.findall(path)
    return unquote(found[-1]) if found else None


def schemas_of(
    paths: Sequence[str], known: Mapping[str, pa.Schema]
) -> tuple[dict[str, pa.Schema | str], dict[str, Stamp | None]]:
    """Each file's Arrow schema, or what is wrong with the file, equal ones as one object; and of those that are not `known`, which are read, what vouched for them
    before and after: None where a file changed meanwhile.
    """
    unread = [path for path in paths if path not in known]
    fresh = dict(zip(unread, several(_read_schema, unread, 8, each=8), strict=True))
    found: dict[str, pa.Schema | str] = {}
    distinct = list({id(schema): schema for schema in known.values()}.values())
    for path in paths:
        if path in known:
            found[path] = known[path]
            continue
        schema, _ = fresh[path]
        if not isinstance(schema, str):
            same = next((other for other in distinct if schema.equals(other)), None)
            if same is None:
                distinct.append(schema)
            schema = schema if same is None else same
        found[path] = schema
    return found, {path: stamp for path, (_, stamp) in fresh.items()}


def _each(schemas: Mapping[str, pa.Schema], told: Callable[[pa.Schema], T]) -> dict[str, T]:
    """What is told of each file's schema, asked once of what is one object."""
    kept: dict[int, T] = {}
    for schema in schemas.values():
        if id(schema) not in kept:
            kept[id(schema)] = told(schema)
    return {path: kept[id(schema)] for path, schema in schemas.items()}


def layout_of_schemas(data: DataSpec, read: Mapping[str, pa.Schema | str]) -> Layout:
    """The layout that files of these Arrow schemas share; a text is what is wrong with a file.

    Raises
    ------
    ConfigError
        ``data.timezone`` is not a zone.
    DataError
        A file is unreadable, or a column is missing, ambiguous, of the wrong type or of another type than in most
        files. Every fault is listed, up to twenty, each naming file, column, found type and what to do.
    """
    if data.timezone:
        try:
            ZoneInfo(data.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise ConfigError(
                f"data.timezone: must be an IANA zone, was {data.timezone!r}; for example America/New_York"
            ) from error
    faults = [f"{path}: {found}" for path, found in read.items() if isinstance(found, str)]
    schemas = {path: found for path, found in read.items() if isinstance(found, pa.Schema)}
    time = symbol = None
    if schemas:
        time = _resolve(schemas, data, "open_time", TIME_NAMES)
        symbol = _resolve(schemas, data, "symbol", SYMBOL_NAMES)
        wrong: dict[str, list[str]] = {}
        for named in (True, False):  # by a folder, if by no column
            some = {p: s for p, s in schemas.items() if (symbol is None and hive_symbol(p) is not None) is named}
            wrong |= _each(some, partial(_file_faults, data=data, time=time, symbol=symbol, named=named))
        faults += [f"{path}: {fault}" for path in schemas for fault in wrong[path]]
        faults += _drift(schemas, data, time)
    if faults or time is None:
        raise DataError(_listing(faults))
    return _layout(schemas, data, time, symbol)


def _listing(faults: Sequence[str]) -> str:
    if len(faults) == 1:
        return faults[0]
    more = [f"... and {len(faults) - _LISTED} more"] if len(faults) > _LISTED else []
    return "\n  ".join([f"data.bars: {len(faults)} file faults, nothing was read", *faults[:_LISTED], *more])


def _read_schema(path: str) -> tuple[pa.Schema | str, Stamp | None]:
    """The file's Arrow schema, or what is wrong with the file; and what vouches for it."""
    try:
        with Path(path).open("rb") as file:
            before = stamp_of(file)
            schema = pq.read_schema(file)
            return schema, before if stamp_of(file) == before else None
    except OSError as error:
        if error.strerror:
            return f"file must be readable, was {error.strerror}; check the path and its permissions", None
        return _not_parquet(path, error), None
    except pa.ArrowException as error:
        return _not_parquet(path, error), None


def _not_parquet(path: str, error: Exception) -> str:
    with Path(path).open("rb") as file:
        head = file.read(24)
    if not head:
        return "file must be Parquet, was empty (0 bytes); write it again or remove it"
    if head.startswith(b"PAR1"):
        size = Path(path).stat().st_size
        return f"file must be whole Parquet, was truncated or damaged ({size} bytes); copy it again ({error})"
    return f"file must be Parquet, was something that begins {head!r}; convert it with `bt ingest`"


def _resolve(schemas: Mapping[str, pa.Schema], data: DataSpec, ours: str, aliases: tuple[str, ...]) -> str | None:
    """The files' name of our column: as mapped, else the only alias that most files have. None if they have none.

    Raises
    ------
    DataError
        Most files have several candidates.
    """
    if ours in data.columns:
        return data.columns[ours]
    taken = set(data.columns.values())
    present = _each(schemas, lambda schema: tuple(a for a in aliases if a in schema.names and a not in taken))
    usual = Counter(present.values()).most_common(1)[0][0]
    if len(usual) > 1:
        path = next(p for p, names in present.items() if names == usual)
        raise DataError(
            f"{path}: column {ours} must be one column, was any of {', '.join(usual)}; "
            f'say which one: data.columns.{ours} = "{usual[0]}"'
        )
    return usual[0] if usual else None


def _file_faults(schema: pa.Schema, *, data: DataSpec, time: str | None, symbol: str | None, named: bool) -> list[str]:
    """What is wrong with one file by itself; `named` if its folder says the symbol."""
    faults: list[str | None] = []
    if time is None:
        faults.append(_missing("open_time", " or ".join(TIME_NAMES), schema, data, "a timestamp"))
    else:
        faults.append(_column_fault(schema, "open_time", time, data))
    if symbol is not None:
        faults.append(_column_fault(schema, "symbol", symbol, data))
    elif not named:
        faults.append(_missing("symbol", " or ".join(SYMBOL_NAMES), schema, data, "text (or a folder symbol=XYZ)"))
    others = [*BAR_COLUMNS, *(ours for ours in data.columns if ours not in _CONTRACT)]
    faults += [_column_fault(schema, ours, data.columns.get(ours, ours), data) for ours in others]
    return [fault for fault in faults if fault]


def _column_fault(schema: pa.Schema, ours: str, name: str, data: DataSpec) -> str | None:
    """What is wrong with the column `name`, which should be our `ours`."""
    if name not in schema.names:
        return _missing(ours, name, schema, data)
    twins = [other for other in schema.names if other.lower() == name.lower()]
    if len(twins) > 1:
        return f"column {name!r} must be there once whatever its case, was {', '.join(twins)}; rename one of them"
    kind = schema.field(name).type
    expected, hint = _expected(ours, kind, data)
    return f"column {name!r} must be {expected}, was {kind}; {hint}" if expected else None


def _expected(ours: str, kind: pa.DataType, data: DataSpec) -> tuple[str, str]:
    """What type our column must have and what to do, or two empty texts if `kind` will do."""
    expected, hint = "", "write the column again with that type, or convert the files with `bt ingest`"
    number = _is_number(kind)
    if ours == "open_time" and not pa.types.is_timestamp(kind):
        expected, hint = "a timestamp", "convert the files with `bt ingest`, which reads epochs, dates and text"
    elif ours == "open_time" and not (kind.tz or data.timezone):
        expected = "a timestamp with a time zone"
        hint = 'say whose clock it is: data.timezone = "America/New_York", or "UTC"'
    elif ours == "symbol" and not _is_text(kind):
        expected = "text"
    elif ours in PRICES and not number:
        expected = "a number"
    elif ours == "volume" and (not number or pa.types.is_decimal(kind)):
        expected = "an integer or float"
    elif ours not in _CONTRACT and not (number or _is_text(kind) or pa.types.is_boolean(kind)):
        expected = "a number, text or boolean"
    return expected, hint if expected else ""


def _missing(ours: str, names: str, schema: pa.Schema, data: DataSpec, what: str = "present") -> str:
    guess = _nearest([data.columns.get(ours, ours), ours], schema, ours, data)
    return (
        f"column {names!r} must be {what}, was missing among {', '.join(schema.names)}; "
        f'if it has another name: data.columns.{ours} = "{guess}"'
    )


def _nearest(asked: Sequence[str], schema: pa.Schema, ours: str, data: DataSpec) -> str:
    """The column most like the first of `asked` that any is like, of those that are nothing else and of a type that our column may have."""
    taken = {data.columns.get(name, name) for name in BAR_COLUMNS}
    zoned = replace(data, timezone=data.timezone or "UTC")  # whose clock it is may still be said
    free: list[str] = [
        field.name for field in schema if field.name not in taken and not _expected(ours, field.type, zoned)[0]
    ]
    for name in asked:
        if near := get_close_matches(name.lower(), [n.lower() for n in free], 1, 0.5):
            return next(n for n in free if n.lower() == near[0])
    return "..."


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    t = pa.types
    return bool(t.is_float32(kind) or t.is_float64(kind) or t.is_decimal(kind) or t.is_integer(kind))


def _signature(kind: pa.DataType) -> str:
    """What must be equal in all files: the type, but for the spelling of text and what DuckDB reads as one type."""
    if pa.types.is_timestamp(kind):
        return f"timestamp[{'ns' if kind.unit == 'ns' else 'us'}{', with a zone' if kind.tz else ', without zone'}]"
    return "text" if _is_text(kind) else str(kind)


def _drift(schemas: Mapping[str, pa.Schema], data: DataSpec, time: str | None) -> list[str]:
    """Columns whose type would do by itself but is not the one that most files have."""
    faults = []
    names = {"open_time": time} | {ours: data.columns.get(ours, ours) for ours in BAR_COLUMNS}
    for ours, name in names.items():
        signatures = _each(schemas, partial(_usable, ours=ours, name=name, data=data))
        found = {path: signature for path, signature in signatures.items() if signature}
        usual = Counter(found.values()).most_common(1)[0][0] if found else ""
        faults += [
            f"{path}: column {name!r} must be {usual} as in the other files, was {signature}; "
            f"write that file again, or convert the files with `bt ingest`"
            for path, signature in found.items()
            if signature != usual
        ]
    return faults


def _usable(schema: pa.Schema, *, ours: str, name: str | None, data: DataSpec) -> str:
    """The signature of the column `name` if it will do by itself, "" if not or if it is absent."""
    if name not in schema.names:
        return ""
    kind = schema.field(name).type
    return "" if _expected(ours, kind, data)[0] else _signature(kind)


def _layout(schemas: Mapping[str, pa.Schema], data: DataSpec, time: str, symbol: str | None) -> Layout:
    first = next(iter(schemas.values()))
    columns = {ours: data.columns.get(ours, ours) for ours in BAR_COLUMNS}
    ours_of = {theirs: ours for ours, theirs in data.columns.items()}
    used = {time, symbol, *columns.values()}
    for name in first.names:
        ours = ours_of.get(name, name)
        if name in used or ours in _RESERVED or _column_fault(first, ours, name, data):
            continue
        kind = _signature(first.field(name).type)
        distinct = {id(schema): schema for schema in schemas.values()}.values()
        if all(name in s.names and _signature(s.field(name).type) == kind for s in distinct):
            columns[ours] = name
    stamp = first.field(time).type
    return Layout(
        time=time,
        symbol=symbol,
        columns=columns,
        types={ours: first.field(name).type for ours, name in columns.items()},
        zone="" if stamp.tz else data.timezone,
        nanoseconds=stamp.unit == "ns",
        end_stamped=data.stamp == "end",
        extras=tuple(ours for ours in columns if ours not in BAR_COLUMNS),
    )
