"""A store changes whole or not at all.

New files are built in a hidden folder, ``STORE/.ingest``, or beside it while STORE does not exist. A new store appears by one rename. Into an
existing one the day files are renamed under names never used before, then ``_store.json`` is replaced, in one step, and only then the
files that it no longer names are deleted. A process killed on the way leaves the previous manifest and every file it names; what else
it left is swept away by the next ingest.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bt.errors import ResultsError
from bt.ingest.manifest import NAME, Manifest
from bt.locking import alone

_OURS = re.compile(r"(?:\d{4}/\d{4}-\d{2}-\d{2}\.[0-9a-f]{12}\.parquet|_index\.[0-9a-f]{12})")


@contextmanager
def staging(store: Path) -> Iterator[Path]:
    """A hidden folder to build in, empty, owned by this process alone and gone afterwards.

    Raises
    ------
    LockedError
        When another process is writing the store.
    ResultsError
        When the disk is full or not writable. Nothing was changed then.
    """
    stage = store / ".ingest" if store.exists() else store.parent / f".{store.name}.ingest"
    try:
        stage.mkdir(parents=True, exist_ok=True)
        with alone(stage, f"{store}: store must not be in use, was being written by another ingest; wait for it"):
            for left in stage.iterdir():
                shutil.rmtree(left)
            try:
                yield stage
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise _failed(store, error) from error


def _failed(store: Path, error: OSError) -> ResultsError:
    return ResultsError(
        f"{store}: store must be writable, was not ({error}); nothing was changed, free some space and ingest again"
    )


def publish(built: Path, store: Path) -> None:
    """Make `built`, a folder with the new files and manifest of a store, part of `store`."""
    for folder in [built, *(p for p in built.iterdir() if p.is_dir())]:
        _sync_folder(folder)
    if not store.exists():
        built.rename(store)
        _sync_folder(store.parent)
        return
    for year in [p for p in built.iterdir() if p.is_dir()]:
        target = store / year.name
        target.mkdir(exist_ok=True)
        for file in year.iterdir():
            file.replace(target / file.name)
        _sync_folder(target)
    for file in [p for p in built.iterdir() if p.name != NAME]:
        if file.is_file():
            file.replace(store / file.name)
    _sync_folder(store)
    (built / NAME).replace(store / NAME)
    _sync_folder(store)


def sweep(store: Path, manifest: Manifest) -> None:
    """Delete the files of former or unfinished ingests: those with our names that `manifest` does not know."""
    if not (store / NAME).exists():
        return
    live = {day.written.file for day in manifest.days.values()} | {manifest.index_file}
    for path in [*store.glob("[0-9][0-9][0-9][0-9]/*.parquet"), *store.glob("_index.*")]:
        name = path.relative_to(store).as_posix()
        if name not in live and _OURS.fullmatch(name):
            path.unlink()
    for year in store.glob("[0-9][0-9][0-9][0-9]"):
        with suppress(OSError):
            year.rmdir()


def _sync_folder(folder: Path) -> None:
    """Flush the names in `folder` to disk; Windows does so by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
