"""What the tests of workers share: runs written to folders and compared byte by byte, and workers that live in this process."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from threading import Event
from typing import Any, Self

import polars as pl

from bt.run.pool import Result
from bt.strategy import dumps


class _Frameless(pickle.Pickler):
    """Refuses frames: who pickles them may wait for ever (`bt.frames`)."""

    def reducer_override(self, thing: Any) -> Any:
        assert not isinstance(thing, pl.DataFrame | pl.Series | pl.LazyFrame), "a worker must not tell a frame"
        return NotImplemented


def _pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Frameless(buffer, protocol=5).dump(value)
    return buffer.getvalue()


class Here:
    """Stands in for `bt.run.pool.Worker`: the work is done in this process, all of it when something is first asked for."""

    def __init__(self, *, threads: int = 0) -> None:
        self._told: list[Any] | None = None

    def begin(self, work: Callable[..., Any], argument: Any) -> None:
        self._job = dumps((work, argument), "test")

    def take(self, stop: Event | None = None) -> Any:
        if self._told is None:
            work, argument = pickle.loads(self._job)  # noqa: S301 - our own
            self._told = told = []
            carried = lambda value: pickle.loads(_pickled(value))  # noqa: E731, S301
            told.append(Result(work(argument, lambda value: told.append(carried(value)))))
        return self._told.pop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._told = None


def files(folder: Path) -> dict[str, bytes]:
    """The files of a run, without wall clocks and the number of workers."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "timings.json"}
    manifest = json.loads(found["manifest.json"])
    del manifest["spec"]["engine"]
    return {**found, "manifest.json": json.dumps(manifest).encode()}


def assert_same_files(one: Path, other: Path) -> None:
    """Two runs that may differ in how they were cut only."""
    mine, theirs = files(one), files(other)
    assert mine.keys() == theirs.keys()
    for name in sorted(mine):
        if mine[name] != theirs[name]:
            left, right = _lines(one, name), _lines(other, name)
            differ = [(n, a, b) for n, (a, b) in enumerate(zip_longest(left, right)) if a != b][:3]
            raise AssertionError(f"{name} must be the same, was {differ or 'the same rows in other bytes'}")


def _lines(folder: Path, name: str) -> list[str]:
    if name.endswith(".json"):
        return (folder / name).read_text().splitlines()
    return [str(row) for row in pl.read_parquet(folder / name).rows()]
