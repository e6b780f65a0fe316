"""A sweep's folder: what it is, and the sets that are done, so that one that was stopped goes on.

``sweep.json`` says what is swept and is there from the start. While sets are played, each pass leaves a file in ``done/``; at the end these become
``sets.json`` (every set, exactly), ``results.parquet`` (one row a set, by number) and ``returns.parquet`` (one row a set and session). Each file appears
whole, so a process may be killed at any time; an interrupted sweep that went on leaves the same bytes as one that was not.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from bt.config import WITHOUT_EFFECT
from bt.errors import DataError, ResultsError, UsageError
from bt.locking import alone
from bt.sweeps.recording import SetResult
from bt.sweeps.result import curve, frame_of
from bt.sweeps.sets import ParameterSet

_UNTOLD = {"versions", "sweep_hash", "spec_hash", *(".".join(("spec", *key)) for key in WITHOUT_EFFECT)}
"""What says nothing of how two sweeps differ."""

_SETS = msgspec.json.Decoder(list[SetResult])


class SweepFolder:
    """The folder of one sweep; make one with `opened`.

    Attributes
    ----------
    path : Path
    document : mapping
        sweep.json.
    """

    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self.path = path
        self.document = document

    @property
    def _done(self) -> Path:
        return self.path / "done"

    def results(self) -> dict[int, SetResult]:
        """The sets that are done, by number.

        Raises
        ------
        DataError
            A file is damaged.
        """
        whole = self.path / "sets.json"
        files = [whole] if whole.is_file() else sorted(self._done.glob("*.json"))
        found: dict[int, SetResult] = {}
        for file in files:
            try:
                found |= {result.number: result for result in _SETS.decode(file.read_bytes())}
            except (OSError, msgspec.MsgspecError) as error:
                raise DataError(
                    f"{file}: it must be what a sweep leaves, was not ({error}); delete it and sweep again"
                ) from error
        return found

    def finished(self, results: Sequence[SetResult]) -> bool:
        """Whether nothing is left to do: what every set came to is there, and can be read."""
        whole = self.path / "sets.json"
        if not whole.is_file() or whole.read_bytes() != msgspec.json.encode(list(results)):
            return False
        rows = {"results.parquet": len(results), "returns.parquet": sum(len(r.sessions) for r in results)}
        try:
            return all(pl.read_parquet(self.path / name).height == count for name, count in rows.items())
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return False

    def add(self, results: Sequence[SetResult]) -> None:
        """Keep what a pass came to."""
        with self._whole():
            self._done.mkdir(exist_ok=True)
            _write(self._done / f"{results[0].number:07d}.json", msgspec.json.encode(list(results)))

    def finish(self, sets: Sequence[ParameterSet], results: Sequence[SetResult]) -> None:
        """Every set is done: `results` in order of their numbers."""
        returns = [curve(r).with_columns(pl.lit(r.number, dtype=pl.Int64).alias("number")) for r in results]
        columns = ("number", "session", "equity", "return")
        with self._whole():
            _write(self.path / "sets.json", msgspec.json.encode(list(results)))
            write_frame(self.path / "returns.parquet", pl.concat(returns).select(columns))
            write_frame(self.path / "results.parquet", frame_of(sets, results))
            shutil.rmtree(self._done, ignore_errors=True)

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _refused(self.path, error) from error


@contextlib.contextmanager
def opened(path: Path, document: Mapping[str, Any], *, named: bool) -> Iterator[SweepFolder]:
    """The folder at `path` of the sweep that `document` describes, new or to go on with, for this process alone.

    Parameters
    ----------
    document : mapping
        sweep.json; its ``sweep_hash`` and ``versions`` say whether it is the same sweep.
    named : bool
        Whether the user chose the folder: then it may be there, empty.

    Raises
    ------
    UsageError
        Something else is there: another sweep, or no sweep.
    LockedError
        Another process is sweeping into it.
    ResultsError
        Nothing can be written there.
    """
    try:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise UsageError(
                f"--out: {path} must be a new or empty folder or this sweep's, was in use; name another one"
            )
        path.mkdir(parents=True, exist_ok=True)
        with alone(path, f"{path}: the folder must not be in use, was another sweep's right now; wait for it"):
            _check(path, document, named=named)
            for left in path.rglob(".*.partial"):
                left.unlink()
            if not (path / "sweep.json").is_file():
                text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
                _write(path / "sweep.json", text.encode())
            yield SweepFolder(path, document)
    except OSError as error:
        raise _refused(path, error) from error


def _check(path: Path, document: Mapping[str, Any], *, named: bool) -> None:
    """Refuse a folder that is another's."""
    file = path / "sweep.json"
    if not file.is_file():
        if any(entry for entry in path.iterdir() if not entry.name.endswith(".partial")):
            raise UsageError(
                f"--out: {path} must be a new or empty folder or this sweep's, was in use; name another one"
            )
        return
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
        differs = there["sweep_hash"] != document["sweep_hash"]
        others = {name: version for name, version in there["versions"].items() if version != document["versions"][name]}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: it must be what a sweep leaves, was not ({error}); name another folder") from error
    if differs:
        raise UsageError(
            f"{path}: the folder must be this sweep's, was that of another one ({_difference(there, document) or 'its sets'}); name "
            "another folder with --out"
        )
    if others and not (path / "sets.json").is_file():
        name, version = next(iter(others.items()))
        raise UsageError(
            f"{path}: a sweep must go on with the versions it began with, {name} was {version} and is "
            f"{document['versions'][name]} now; name another folder with --out{'' if named else ', or delete it'}"
        )


def _difference(there: Mapping[str, Any], here: Mapping[str, Any], above: str = "") -> str:
    """The first key in which two documents differ, and how; "" if in none that tells."""
    for key in dict.fromkeys((*there, *here)):
        one, other = there.get(key), here.get(key)
        if one == other or f"{above}{key}" in _UNTOLD:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if found := _difference(one, other, f"{above}{key}."):
                return found
            continue
        told = [text if len(text) <= 60 else text[:57] + "..." for text in (repr(one), repr(other))]
        return f"{above}{key} was {told[0]} there and is {told[1]} here"
    return ""


def _refused(path: Path, error: OSError) -> ResultsError:
    cause = error.strerror or str(error)
    return ResultsError(
        f"{path}: results must be written whole, was stopped by: {cause}; free some space or choose another folder with "
        "output.dir or --out; what is done is kept"
    )


def _write(path: Path, data: bytes) -> None:
    """A file that appears whole."""
    _appear(path, lambda partial: partial.write_bytes(data))


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """A table that appears whole."""
    _appear(path, frame.write_parquet)


def _appear(path: Path, write: Callable[[Path], Any]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    if os.name == "posix":
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
