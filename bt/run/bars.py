"""The minute bars behind a finished run, read again for pictures of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from bt.config import Identity
from bt.errors import BtError, DataError
from bt.model import DataSpec, Session, slot_times
from bt.prepare import Loader
from bt.schema import BAR_COLUMNS
from bt.sessions import TimeManager
from bt.store import Store

CHANGED = "The store has changed since the run: the candles are of the bars it has now."


TOGETHER = 10
"""Sessions read by one query at most, for all symbols that any of them wants."""


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
        return self._schedule.session(self._place_of(day))

    def _place_of(self, day: date) -> int:
        if day not in self._place:
            raise DataError(
                f"{self._schedule.calendar}: session must be one of the run's, was {day}; look at run.by_session"
            )
        return self._place[day]

    def bars(self, wanted: Mapping[date, Collection[str]]) -> dict[date, dict[str, pl.DataFrame]]:
        """Of the symbols `wanted` in each session, the bars by session, in order, and symbol: open_time (Int64 UTC microseconds, sorted), open,
        high, low, close, volume.

        A symbol without any, or that the store has not, is left out.

        Raises
        ------
        DataError
            The calendar has no such session; a file vanished or cannot be read.
        """
        places = {self._place_of(day): day for day in sorted(wanted)}
        found: dict[date, dict[str, pl.DataFrame]] = {day: {} for day in places.values()}
        while places:
            first = next(iter(places))
            together = [place for place in places if place < first + TOGETHER]
            days = {place: places.pop(place) for place in together}
            for place, name, bars in self._read(
                first, together[-1], {name for d in days.values() for name in wanted[d]}
            ):
                if place in days and name in wanted[days[place]]:
                    found[days[place]][name] = bars
        return found

    def _read(self, first: int, last: int, symbols: Collection[str]) -> Iterator[tuple[int, str, pl.DataFrame]]:
        """The bars of some symbols in sessions `first` to `last` of the schedule: session, symbol, bars."""
        known = sorted(symbol for symbol in symbols if symbol in self._store.first)
        if not known:
            return
        minutes = self._loader.history(first, last, BAR_COLUMNS, symbols=known)
        opens = np.concatenate([slot_times(session) for session in minutes.sessions])
        offset = np.cumsum([0, *(session.minutes for session in minutes.sessions)])
        frame = minutes.frame.with_columns(
            pl.Series("open_time", opens[offset[minutes.session] + minutes.slot]), pl.Series("session", minutes.session), pl.Series("code", minutes.code),
        )  # fmt: skip
        parts = frame.partition_by("session", "code", as_dict=True, maintain_order=True)
        for (session, code), part in parts.items():
            yield first + int(session), self._store.symbols[int(code)], part.select("open_time", *BAR_COLUMNS)


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


def zone_of(manifest: Mapping[str, Any]) -> str:
    """The exchange's zone; UTC where the calendar is a file that is not there any more."""
    try:
        return TimeManager(manifest["spec"]["data"]["calendar"]).zone
    except BtError:
        return "UTC"


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
