"""Per-session rows (daily aggregates) remembered beside the store, so that 52 weeks of minutes are read once.

A session's rows are valid as long as the files that hold its minutes have the content they were made from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from threading import Lock

import polars as pl
import pyarrow as pa

from bt.store.bars import Store
from bt.store.files import load_table, save_table

_KEYS = b"bt.sessions"
_VERSION = 2


class DailyCache:
    """Cached frames of one store and one calendar, one file per kind.

    Parameters
    ----------
    store : Store
        Gives the codes, the content of files and the cache folder.
    calendar_key : str
        Everything outside the store that the rows depend on: calendar, its version, overlays.
    """

    def __init__(self, store: Store, calendar_key: str) -> None:
        self._store = store
        self._calendar_key = calendar_key
        self._adding = Lock()  # a window is prepared on one thread while at_open asks on another

    def known(self, kind: str, bounds: Mapping[date, tuple[int, int]]) -> tuple[pl.DataFrame | None, list[date]]:
        """The remembered rows of the sessions in `bounds`, and the sessions that are missing or stale.

        Parameters
        ----------
        kind : str
            What the rows are; spell every parameter of the computation in it.
        bounds : mapping
            UTC microseconds ``[lower, upper)`` of the minutes that belong to each session.

        Returns
        -------
        frame : DataFrame or None
            The columns given to `add`, sorted by session and code. None if nothing of this kind is remembered.
        missing : list of date
            In the order of `bounds`.
        """
        frame, keys = self._load(kind)
        valid = [session for session, (low, high) in bounds.items() if keys.get(session) == self._key(low, high)]
        missing = [session for session in bounds if session not in set(valid)]
        if frame is None:
            return None, list(bounds)
        return self._coded(frame.filter(pl.col("session").is_in(valid))), missing

    def add(self, kind: str, bounds: Mapping[date, tuple[int, int]], frame: pl.DataFrame) -> None:
        """Remember the rows of the sessions in `bounds`; a session without a row is known to have none.

        `frame` has session (Date), code (UInt16) and values. A cache that cannot be written is done without.
        """
        named = frame.with_columns(pl.Series("symbol", self._store.symbols, pl.String).gather(frame["code"]))
        named = named.select("session", "symbol", pl.exclude("session", "symbol", "code"))
        fresh = {session: self._key(low, high) for session, (low, high) in bounds.items()}
        with self._adding:
            old, keys = self._load(kind)
            if old is None or old.schema != named.schema:
                old, keys = named.clear(), {}
            merged = _sorted(old.filter(~pl.col("session").is_in(list(bounds))), named)
            text = json.dumps({session.isoformat(): key for session, key in sorted({**keys, **fresh}.items())})
            save_table(self._path(kind), merged.to_arrow().replace_schema_metadata({_KEYS: text.encode()}))

    def _load(self, kind: str) -> tuple[pl.DataFrame | None, dict[date, str]]:
        table = load_table(self._path(kind))
        if table is None:
            return None, {}
        try:
            keys = json.loads((table.schema.metadata or {})[_KEYS])
            frame = pl.DataFrame(table)
        except (KeyError, ValueError, pa.ArrowException):
            return None, {}
        return frame, {date.fromisoformat(session): key for session, key in keys.items()}

    def _coded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`frame` with codes of this store for its symbols; symbols that are gone are left out."""
        known = pl.col("symbol").cast(pl.Enum(self._store.symbols), strict=False)
        coded = frame.with_columns(known.to_physical().cast(pl.UInt16).alias("code"))
        return coded.drop_nulls("code").select("session", "code", pl.exclude("session", "code", "symbol"))

    def _key(self, low: int, high: int) -> str:
        text = "\n".join([f"{low} {high}", *self._store.overlapping_hashes(low, high)])
        return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()

    def _path(self, kind: str) -> Path:
        asked = self._store.data
        chosen = [self._store.layout.key, self._calendar_key, kind, asked.symbols and sorted(asked.symbols)]
        name = hashlib.blake2b(json.dumps(chosen).encode(), digest_size=10).hexdigest()
        return self._store.cache / f"daily-{_VERSION}-{name}.arrow"


def _sorted(old: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """Both together by session and symbol; `old` is sorted so. Mostly what is added is later, and the old stays as it is."""
    more = more.sort("session", "symbol", maintain_order=True)
    both = pl.concat([old, more])
    if not old.height or not more.height or old.item(-1, "session") < more.item(0, "session"):
        return both
    return both.sort("session", "symbol", maintain_order=True)
