"""A run's folder, which appears whole or not at all, and its twin in memory.

Everything is written into a hidden folder beside the final one, ``.<name>.partial``, which one rename makes visible at
the end. What a killed process leaves behind is hidden, is never read, and may be deleted.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
import polars as pl

from bt.errors import BtError, ResultsError, UsageError
from bt.locking import Lock
from bt.results.reading import DOCUMENTS, tables_in
from bt.results.rows import NO_MULTIPLIERS, Days, Deferred, Multipliers, Rows, frame_of, in_order, joined, settled
from bt.results.table_set import TableSet
from bt.results.tables import SCHEMAS, empty


class Results(Protocol):
    """Where a run puts its tables: a `RunFolder` or `MemoryResults`."""

    def append(self, table: str, rows: Rows | Deferred, *, ordered: bool = False, sessions: Days | None = None) -> None:
        """Rows of the open session of one table, in the engine's terms (`bt.results.rows`), or all of a run's settled already;
        `ordered` if they are known to lie as the table's do.

        An order is appended once, when it has ended; after the last session those that are still open. `sessions` are those in which deferred orders were decided, one an order.
        """

    def end_session(self, session: date) -> None:
        """Every row of `session` has been appended."""

    def complete(self) -> Mapping[str, pl.LazyFrame]:
        """No row comes any more: every table, to be read before the run's documents are written."""

    def finish(
        self, *, manifest: Mapping[str, Any], metrics: Mapping[str, Any], timings: Mapping[str, Any]
    ) -> Path | None:
        """The run is over: where it can be read, None in memory."""

    def discard(self) -> None:
        """Forget everything."""


class MemoryResults:
    """A run's tables as frames, for ``save=False``.

    Attributes
    ----------
    tables : dict of DataFrame
        Every table by name, after `finish`.
    documents : dict of dict
        manifest, metrics and timings, after `finish`.
    """

    def __init__(self, multipliers: Multipliers = NO_MULTIPLIERS) -> None:
        self._multipliers = multipliers
        self._rows: dict[str, list[Rows | Deferred]] = {table: [] for table in SCHEMAS}
        self.tables: dict[str, pl.DataFrame] = {}
        self.documents: dict[str, dict[str, Any]] = {}

    def append(self, table: str, rows: Rows | Deferred, *, ordered: bool = False, sessions: Days | None = None) -> None:  # noqa: ARG002 - all is sorted at the end
        """As `Results.append`."""
        if len(rows):
            self._rows[table].append(rows)

    def end_session(self, session: date) -> None:
        """As `Results.end_session`: nothing to do, `finish` sorts."""

    def complete(self) -> Mapping[str, pl.LazyFrame]:
        """As `Results.complete`."""
        for table, parts in self._rows.items():
            rows = settled(table, in_order(table, joined(parts)), self._multipliers) if parts else None
            self.tables[table] = empty(table) if rows is None else frame_of(rows)
        self._rows = {}
        return {table: frame.lazy() for table, frame in self.tables.items()}

    def finish(
        self, *, manifest: Mapping[str, Any], metrics: Mapping[str, Any], timings: Mapping[str, Any]
    ) -> Path | None:
        """As `Results.finish`."""
        self.complete()
        self.documents = {"manifest": dict(manifest), "metrics": dict(metrics), "timings": dict(timings)}
        return None

    def discard(self) -> None:
        """As `Results.discard`."""
        self._rows = {}


class RunFolder:
    """The results of one run on their way to disk; make one with `create`, end with `finish` or `discard`.

    As a context manager it discards what was not finished. Any OSError (a full disk, no permission) removes what was
    written and comes out as a ResultsError.

    Attributes
    ----------
    path : Path
        Where the run will be.
    """

    def __init__(self, path: Path, partial: Path, *, chosen: bool, multipliers: Multipliers = NO_MULTIPLIERS) -> None:
        self.path = path
        self._partial = partial
        self._chosen = chosen  # by the user: then the name cannot give way
        self._over = self._closed = False
        self._lock: Lock | None = None
        with self._whole():
            self._lock = Lock(partial, _in_use(path))
            self._tables = TableSet(partial, multipliers)

    @classmethod
    def create(
        cls, parent: Path, *, spec_hash: str, out: Path | None = None, now: datetime | None = None, multipliers: Multipliers = NO_MULTIPLIERS
    ) -> RunFolder:  # fmt: skip
        """A new run folder: ``parent/<UTC time>-<hash>``, with ``-2`` and so on if that is taken, or `out` itself.

        Parameters
        ----------
        parent : Path
            The folder of runs (output.dir), made if missing.
        spec_hash : str
            Its first 8 characters name the folder.
        out : Path, optional
            The run folder itself; it must not exist or be empty.
        now : datetime, optional
            Aware time of the start, the present by default.
        multipliers : mapping, optional
            By symbol what a share is worth at a price of 1, where that is not 1.

        Raises
        ------
        UsageError
            `out` exists and is not an empty folder, or no folder can be made there.
        LockedError
            Another run is being written to `out`.
        ResultsError
            Nothing can be written there.
        """
        if out is not None:
            out = Path(os.path.normpath(Path.cwd() / out))
            if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
                raise UsageError(f"--out: {out} must be a new or empty folder, was in use; name another one")
            _check_free(out)
            return cls(out, _make_partial(out), chosen=True, multipliers=multipliers)
        stamp = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        for name in _names(f"{stamp}-{spec_hash[:8]}"):
            path = parent / name
            # A run that is still being written holds its name through its partial folder.
            if not path.exists() and not _partial_of(path).exists():
                return cls(path, _make_partial(path), chosen=False, multipliers=multipliers)
        raise AssertionError("names never end")

    def append(self, table: str, rows: Rows | Deferred, *, ordered: bool = False, sessions: Days | None = None) -> None:
        """As `Results.append`."""
        with self._whole():
            self._tables.append(table, rows, ordered=ordered, sessions=sessions)

    def end_session(self, session: date) -> None:
        """As `Results.end_session`."""
        with self._whole():
            self._tables.end_session(session)

    def complete(self) -> Mapping[str, pl.LazyFrame]:
        """As `Results.complete`."""
        with self._whole():
            if not self._closed:
                self._tables.close()
                self._closed = True
        return tables_in(self._partial)

    def finish(self, *, manifest: Mapping[str, Any], metrics: Mapping[str, Any], timings: Mapping[str, Any]) -> Path:
        """Write the three documents, make everything durable and show the folder under its final name.

        Wall-clock figures belong into `timings` alone: the other files are the same for the same run.

        Returns
        -------
        Path
            The run folder.
        """
        self.complete()
        with self._whole():
            for name, document in zip(DOCUMENTS, (manifest, metrics, timings), strict=True):
                _write_json(self._partial / f"{name}.json", document)
            _sync_folder(self._partial)
            self._publish()
        return self.path

    def _publish(self) -> None:
        """One rename. A rename onto a folder with content fails, so nothing is ever overwritten."""
        for name in _names(self.path.name):
            target = self.path.with_name(name)
            try:
                if self._chosen and target.is_dir():
                    target.rmdir()  # the user's empty folder; Windows renames onto nothing
                self._partial.rename(target)
            except OSError:
                if self._chosen or not target.exists():
                    raise
                continue
            self.path = target
            self._end()
            break
        _sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove everything written so far; after `finish` nothing happens."""
        if not self._over:
            if hasattr(self, "_tables"):
                self._tables.abort()
            shutil.rmtree(self._partial, ignore_errors=True)
            self._end()

    def _end(self) -> None:
        """Nothing more is written."""
        self._over = True
        if self._lock is not None:
            self._lock.release()

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.discard()
            raise _refused(self.path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


NO_PLACE = (
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EINVAL,
)  # fmt: skip
"""Where no folder can be made, however much room there is."""


def _no_place(path: Path, error: OSError) -> BtError:
    """A run's folder cannot be made."""
    if error.errno not in NO_PLACE:
        return _refused(path, error)
    return UsageError(
        f"{path}: results must go to a folder that can be made, was stopped at {error.filename or path}: {error.strerror}; "
        "choose another one with output.dir or --out"
    )


def _refused(path: Path, error: OSError) -> ResultsError:
    cause = error.strerror or str(error)
    hint = "free some space or choose another folder with output.dir or --out; nothing was left behind"
    return ResultsError(f"{path}: results must be written whole, was stopped by: {cause}; {hint}")


def _in_use(path: Path) -> str:
    return f"--out: {path} must not be in use, was another run's right now; wait for it, or name another folder"


def _check_free(path: Path) -> None:
    """Refuse a run's folder that another process is on its way to; what a killed one has left is nobody's.

    Raises
    ------
    LockedError
        Another run will be there.
    """
    for name in _names(path.name):
        partial = _partial_of(path.with_name(name))
        if not partial.is_dir():
            return
        Lock(partial, _in_use(path)).release()


def _names(name: str) -> Iterator[str]:
    yield name
    n = 2
    while True:
        yield f"{name}-{n}"
        n += 1


def _partial_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _make_partial(path: Path) -> Path:
    """A new hidden folder beside `path`; beside one that a killed run left, another."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for name in _names(path.name):
            partial = _partial_of(path.with_name(name))
            with contextlib.suppress(FileExistsError):
                partial.mkdir()
                return partial
    except OSError as error:
        raise _no_place(path, error) from error
    raise AssertionError("names never end")


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)  # with an indent Python's own encoder is slow
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(msgspec.json.format(text, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Make names durable where the system can: Windows opens no folder, some file systems sync none."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
