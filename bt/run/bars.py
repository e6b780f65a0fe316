"""The minute bars behind a finished run, read again for pictures of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import polars as pl

from bt.config import Identity
from bt.errors import BtError, DataError
from bt.model import DataSpec, Session, slot_times
from bt.prepare import Loader
from bt.schema import BAR_COLUMNS
from bt.sessions import TimeManager
from bt.store import Store

CHANGED = "The store has changed since the run: the candles are of the bars it has now."


class StoreBars:
    """The bars of a run's store that passed the guards, session by session. Make it with `opened_bars`.

    Attributes
    ----------
    zone : str
        The exchange's IANA zone.
    note : str
        `CHANGED` if the store is not what the run read, else "".
    """

    def __init__(self, store: Store, time: TimeManager, span: tuple[date, date], note: str) -> None:
        self._store = store
        self._schedule = time.schedule(*span)
        self._place = {name: place for place, name in enumerate(self._schedule.names)}
        self._loader = Loader(store, time, self._schedule, BAR_COLUMNS)
        self.zone = time.zone
        self.note = note

    def session(self, day: date) -> Session:
        """One session of the run.

        Raises
        ------
        DataError
            The calendar has none on that day.
        """
        if day not in self._place:
            raise DataError(
                f"{self._schedule.calendar}: session must be one of the run's, was {day}; look at run.by_session"
            )
        return self._schedule.session(self._place[day])

    def bars(self, day: date, symbols: Sequence[str]) -> Mapping[str, pl.DataFrame]:
        """The bars of a session by symbol: open_time (Int64 UTC microseconds, sorted), open, high, low, close, volume.

        A symbol without any, or that the store has not, is left out.

        Raises
        ------
        DataError
            A file vanished or cannot be read.
        """
        session, place = self.session(day), self._place[day]
        known = [symbol for symbol in symbols if symbol in self._store.first]
        if not known:
            return {}
        minutes = self._loader.history(place, place, BAR_COLUMNS, symbols=known)
        opens = slot_times(session)
        frame = minutes.frame.with_columns(pl.Series("open_time", opens[minutes.slot]), pl.Series("code", minutes.code))
        wanted = set(known)
        return {
            name: part.drop("code").select("open_time", *BAR_COLUMNS)
            for (code,), part in frame.partition_by("code", as_dict=True, maintain_order=True).items()
            if (name := self._store.symbols[int(code)]) in wanted
        }


@contextmanager
def opened_bars(manifest: Mapping[str, Any], data: DataSpec | None) -> Iterator[StoreBars]:
    """The bars that a run read, as its manifest names them; `data` stands for what a manifest cannot name, bars in memory.

    Raises
    ------
    BtError
        They are not there any more, or were in memory.
    """
    spec = manifest["spec"]
    data = data if data is not None else data_of(spec["data"])
    time = TimeManager(data.calendar)
    store = Store.open(data)
    try:
        now = Identity({}, {}, manifest.get("tables") or {}, "").fingerprint(store.fingerprint)
        note = "" if now == manifest["data_fingerprint"] else CHANGED
        span = (date.fromisoformat(spec["session"]["start"]), date.fromisoformat(spec["session"]["end"]))
        yield StoreBars(store, time, span, note)
    finally:
        store.close()


def data_of(told: Mapping[str, Any]) -> DataSpec:
    """[data] of a manifest.

    Raises
    ------
    DataError
        The bars were in memory.
    """
    if told["bars"].startswith("memory:"):
        raise DataError(
            "the run's bars were handed over in memory, and are not kept; save them as Parquet and replay that"
        )
    known = {name: value for name, value in told.items() if name in DataSpec.__dataclass_fields__}
    symbols = None if told["symbols"] == "all" else tuple(told["symbols"])
    return DataSpec(**{**known, "symbols": symbols})


@contextmanager
def bars_or_reason(manifest: Mapping[str, Any], data: DataSpec | None) -> Iterator[tuple[StoreBars | None, str]]:
    """The bars, or None and why they cannot be had."""
    context = opened_bars(manifest, data)
    try:
        bars = context.__enter__()
    except (BtError, OSError) as error:
        yield None, f"{str(error).splitlines()[0]}"
        return
    try:
        yield bars, ""
    finally:
        context.__exit__(None, None, None)
