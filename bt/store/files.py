"""Which files a store is made of, and who they are: paths, content hashes, and where the store's cache may be written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import IO, TypeAlias, TypeVar

import polars as pl
import pyarrow as pa

from bt.caching import user_cache
from bt.errors import DataError
from bt.model import IN_MEMORY, MemoryBars

CACHE_FOLDER = ".bt"
"""Name of the cache folder beside the bars. Hidden, so that no store lists it."""

ACTIONS = "actions.parquet"
"""A table of corporate actions beside the bars: no bars."""

INSTRUMENTS = "instruments.parquet"
"""A table of instruments, likewise."""

MANIFEST = "_store.json"
"""What `bt ingest` leaves in a store: which files are its, by day."""

MEMO = "files.arrow"
"""Who the files were when they were read last, in the cache folder."""

Stamp: TypeAlias = tuple[int, int, int]
"""What vouches for a file: its size, when it was changed (ns) and its inode."""

T = TypeVar("T")

_MEMO_SCHEMA = {
    "path": pl.String(),
    "size": pl.Int64(),
    "mtime_ns": pl.Int64(),
    "inode": pl.Int64(),
    "hash": pl.String(),
}


@dataclass(frozen=True, slots=True)
class FileId:
    """One file as it was when it was identified: absolute path, content hash, and the stat that vouches for it."""

    path: str
    hash: str
    size: int
    mtime_ns: int
    inode: int

    @property
    def stamp(self) -> Stamp:
        """What vouches for it."""
        return self.size, self.mtime_ns, self.inode

    def check_unchanged(self) -> None:
        """Raise DataError if the file vanished, or its size, time or inode is no longer what it was."""
        if self.path == IN_MEMORY:  # frames do not change
            return
        try:
            now = Path(self.path).stat()
        except OSError as error:
            raise DataError(
                f"{self.path}: file must still be readable, was {error.strerror}; it was there when the store was opened"
            ) from error
        if (now.st_size, now.st_mtime_ns, now.st_ino) != (self.size, self.mtime_ns, self.inode):
            raise DataError(
                f"{self.path}: file must not change while a run reads it, was {self.size} bytes and is {now.st_size}; "
                f"start again once it is written"
            )


def memory_cache() -> Path:
    """The folder for what is remembered about bars in memory, by their content."""
    return user_cache() / "stores" / "memory"


def memory_id(bars: MemoryBars) -> FileId:
    """The identity of bars in memory."""
    return FileId(IN_MEMORY, bars.digest, int(bars.frame.estimated_size()), 0, 0)


def find(bars: str) -> tuple[Path, list[str]]:
    """The folder the store's cache lives beside, and the sorted absolute paths of its Parquet files.

    `bars` is a folder (searched recursively for ``*.parquet``), a file or a glob. Names starting with ``.`` or ``_``
    below the folder, or below the part of the glob without wildcards, are left out, and tables of corporate actions (`ACTIONS`) and instruments (`INSTRUMENTS`) right there.

    Raises
    ------
    DataError
        Nothing matches.
    """
    where = Path(bars).expanduser().absolute()
    if where.is_dir() and (where / MANIFEST).is_file():
        return where, _listed(where)
    if where.is_dir():
        root = where
        found = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
        found = [path for path in found if path.suffix == ".parquet"]
    elif where.exists():
        return where.parent, [str(where)]
    else:
        pattern = [i for i, part in enumerate(where.parts) if has_magic(part)]
        root = Path(*where.parts[: pattern[0]]) if pattern else where.parent
        # Path.glob knows no file that `**` alone matches
        found = [path for path in map(Path, glob(str(where), recursive=True)) if path.is_file()]  # noqa: PTH207
    paths = sorted(
        str(path)
        for path in found
        if path not in (root / ACTIONS, root / INSTRUMENTS) and not _hidden(path.relative_to(root))
    )
    if not paths:
        if where.is_dir():
            what = "a folder with *.parquet files, was empty"
        elif has_magic(str(where)):
            what = "a glob that matches files, was one that matches none"
        else:
            what = "a folder, file or glob that exists, was not there"
        raise DataError(f"data.bars: {bars} must be {what}; check the path, or make it with `bt ingest`")
    return root, paths


def _listed(root: Path) -> list[str]:
    """The files of a store that `bt ingest` wrote: those its manifest names, whatever else an ingest leaves lying there."""
    manifest = root / MANIFEST
    try:
        days = json.loads(manifest.read_text(encoding="utf-8"))["days"].values()
        paths = sorted(str(root / day["file"]) for day in days)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{manifest}: manifest must be readable, was not ({error}); ingest the sources into a new folder"
        ) from error
    missing = [path for path in paths if not Path(path).is_file()]
    if missing:
        hint = "ingest again what that day was made of, which brings it back"
        raise DataError(f"{missing[0]}: file must exist as {manifest} names it, was missing; {hint}")
    if not paths:
        raise DataError(f"data.bars: {root} must have at least one day, was an empty store; check what was ingested")
    return paths


def _hidden(relative: Path) -> bool:
    return any(part.startswith((".", "_")) for part in relative.parts)


def store_cache(root: Path) -> Path:
    """The folder for what is remembered about the store at `root`: ``root/.bt``, or one of the user's cache.

    A folder without any write permission bit is left alone even where the user could write it anyway (root).
    """
    beside = root / CACHE_FOLDER
    if _writable(root if not beside.exists() else beside):
        return beside
    name = hashlib.blake2b(str(root).encode(), digest_size=10).hexdigest()
    return user_cache() / "stores" / name


def _writable(folder: Path) -> bool:
    try:
        return folder.stat().st_mode & 0o222 != 0 and os.access(folder, os.W_OK)
    except OSError:
        return False


def save_table(path: Path, table: pa.Table) -> None:
    """Write `table` as Arrow IPC, as `save_bytes`."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    save_bytes(path, sink.getvalue())


def save_bytes(path: Path, content: bytes | pa.Buffer) -> None:
    """Write a file whole or not at all. A cache that cannot be written is done without."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{id(content):x}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            file.write(content)
        scratch.replace(path)
    except OSError:
        with suppress(OSError):
            scratch.unlink()


def load_table(path: Path) -> pa.Table | None:
    """The table `save_table` wrote, or None if there is none that can be read: a cache is rebuilt silently."""
    try:
        with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as reader:
            return reader.read_all()
    except (OSError, pa.ArrowException):
        return None


def load_frame(path: Path, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """The cached frame, or an empty one of `schema` if it is absent, corrupt or of another version."""
    table = load_table(path)
    if table is not None:
        frame = pl.from_arrow(table)
        if isinstance(frame, pl.DataFrame) and frame.schema == pl.Schema(schema):
            return frame
    return pl.DataFrame(schema=schema)


def recognised(paths: Sequence[str], cache: Path) -> dict[str, FileId]:
    """The identity of each file whose path, size, mtime and inode are remembered; no file is read."""
    memo = load_frame(cache / MEMO, _MEMO_SCHEMA)
    known: dict[tuple[str, int, int, int], str] = {
        (path, size, mtime_ns, inode): digest for path, size, mtime_ns, inode, digest in memo.iter_rows()
    }
    if not known:
        return {}

    def found(path: str) -> FileId | None:
        try:
            stat = Path(path).stat()
        except OSError:  # told by whoever reads it
            return None
        digest = known.get((path, stat.st_size, stat.st_mtime_ns, stat.st_ino))
        if digest is None or not os.access(path, os.R_OK):
            return None
        return FileId(path, digest, stat.st_size, stat.st_mtime_ns, stat.st_ino)

    return {i.path: i for i in several(found, paths, 4, each=64) if i is not None}


def identify(paths: Sequence[str], known: Mapping[str, FileId], cache: Path) -> list[FileId]:
    """The identity of each file; those that are not `known` (`recognised`) are read, and remembered.

    Raises
    ------
    DataError
        A file cannot be read.
    """
    fresh = {i.path: i for i in several(_identify, [path for path in paths if path not in known], os.cpu_count() or 1)}
    ids = [known[path] if path in known else fresh[path] for path in paths]
    if fresh:
        memo = load_frame(cache / MEMO, _MEMO_SCHEMA)
        told = pl.DataFrame([(i.path, i.size, i.mtime_ns, i.inode, i.hash) for i in ids], _MEMO_SCHEMA, orient="row")
        others = memo.filter(~pl.col("path").is_in(list(paths)))
        others = others.filter(pl.Series([Path(path).exists() for path in others["path"]], dtype=pl.Boolean))
        save_table(cache / MEMO, pl.concat([others, told]).to_arrow())
    return ids


def _identify(path: str) -> FileId:
    try:
        with Path(path).open("rb") as file:
            before = stamp_of(file)
            digest = hashlib.file_digest(file, _blake2b).hexdigest()
            after = stamp_of(file)
    except OSError as error:
        raise DataError(f"{path}: file must be readable, was {error.strerror}; check its permissions") from error
    if after != before:
        raise DataError(changed_meanwhile(path))
    return FileId(path, digest, *after)


def changed_meanwhile(path: str) -> str:
    """What is told of a file that is written while it is looked at."""
    return f"{path}: file must not change while it is read, but did; start again once it is written"


def stamp_of(file: IO[bytes]) -> Stamp:
    """Of an open file."""
    stat = os.fstat(file.fileno())
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def several(told: Callable[[str], T], paths: Sequence[str], threads: int, *, each: int = 1) -> list[T]:
    """What is told of each file, by so many threads, which take some at a time: a disk that is far away answers several at once."""
    parts = [paths[i : i + each] for i in range(0, len(paths), each)]
    if len(parts) < 2:
        return [told(path) for path in paths]
    with ThreadPoolExecutor(min(threads, len(parts))) as pool:
        return [one for part in pool.map(lambda part: [told(path) for path in part], parts) for one in part]


def _blake2b() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=20)


def remembered_hashes(cache: Path) -> set[str]:
    """Content hashes of every file the cache folder still knows: verdicts of any other content may be forgotten."""
    return set(load_frame(cache / MEMO, _MEMO_SCHEMA)["hash"])
