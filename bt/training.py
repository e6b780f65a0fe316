"""Rows for training: exactly what a strategy would be shown, as frames, with labels of what came after."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.engine import Player, Stage, alone, nothing, opened, visible_codes
from bt.errors import BtError, DataError, NoSuchField, StrategyError, StrategyRaised, UsageError
from bt.forward import forward
from bt.model import PreparedSession, RunSpec, Traded, slot_times
from bt.playback import Feed
from bt.prepare import PreparedWindow
from bt.run import Made, made
from bt.schema import MINUTE
from bt.strategy import ForwardReturn, RowField

IntArray = npt.NDArray[np.int64]
Labels = Mapping[str, ForwardReturn]
Frames = dict[str, pl.DataFrame]

TYPES: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "str": pl.String, "float": pl.Float64, "int": pl.Int64, "bool": pl.Boolean, "date": pl.Date, "time": pl.Time,
    "datetime": pl.Datetime("us", "UTC"),
}  # fmt: skip
KEYS = ("symbol", "known_at")


def rows_by_session(spec: RunSpec, label: Labels) -> Iterator[Frames]:
    """For every session, by interval, a frame of the rows that the strategy would be shown; see `bt.load_rows`.

    Raises
    ------
    BtError
        As `bt.replay`.

    Warns
    -----
    UserWarning
        A feature raises for a symbol, which is dropped from the session.
    """
    with _made(spec, label) as parts:
        player, source = _only(parts), parts.source
        _check_labels(player, label)
        source.start()
        with closing(source.windows()) as windows:  # before the store is closed: the next one is being read
            yield from _sessions(windows, player, label, parts)


def _sessions(windows: Iterator[PreparedWindow], player: Player, label: Labels, parts: Made) -> Iterator[Frames]:
    """The frames of each session of the run, by interval; sessions before it are only told to at_open."""
    number = parts.span.first - parts.warm
    for window in windows:
        if said := window.left_out(parts.store.symbols):
            warnings.warn(f"load_rows: {said}", stacklevel=2)
        for i, prepared in enumerate(window.sessions):
            if parts.spec.run.on_data_error == "raise" and i in window.faults:
                raise DataError(window.faults[i])
            shown = _shown(player, prepared, number, parts)
            if number >= parts.span.first:
                yield _labelled(shown, label, prepared, number, parts)
            number += 1


@contextmanager
def _made(spec: RunSpec, label: Labels) -> Iterator[Made]:
    """`made`, which knows no labels: one that a row type has for a field is named as such."""
    try:
        with made(spec) as parts:
            yield parts
    except NoSuchField as error:
        if error.field not in label:
            raise
        raise StrategyError(
            f"load_rows: label {error.field!r} must not be a field of a row type: it tells what comes after a row, and is a column "
            "beside the fields; take it out of the row type"
        ) from error


def _only(parts: Made) -> Player:
    if len(parts.players) != 1:
        names = ", ".join(p.declaration.name for p in parts.players) or "none"
        raise UsageError(f"load_rows: there must be one strategy, were {names}; name it by strategy=")
    declared = parts.players[0].declaration
    if not declared.rows or not ({"on_bar", "on_minute"} & declared.callbacks or declared.timers):
        hint = "; signals read columns, bt.load_bars has them" if declared.signals is not None else ""
        raise StrategyError(
            f"strategy {declared.name}: it must have a row type, and on_bar, on_minute or a timer, to be shown rows{hint}"
        )
    return parts.players[0]


def _check_labels(player: Player, label: Labels) -> None:
    taken = {*KEYS, *(f.name for row in player.declaration.rows for f in row.fields)}
    for name, asked in label.items():
        if not isinstance(asked, ForwardReturn):
            raise UsageError(f"load_rows: label {name!r} must be made by bt.forward_return, was {asked!r}")
        if name in taken:
            raise UsageError(f"load_rows: label {name!r} must have a name of its own; that one is a column of the rows")


@dataclass(frozen=True)
class _Shown:
    """The rows of one interval in one session."""

    label: str
    frame: pl.DataFrame
    code: IntArray
    known_at: IntArray


def _shown(player: Player, prepared: PreparedSession, number: int, parts: Made) -> list[_Shown]:
    """What the strategy is shown in session number `number`, its at_open called before."""
    names = np.array(parts.store.symbols, dtype=object)
    prepared = alone(prepared, visible_codes(prepared, [player], len(names)))
    given = {}
    if "at_open" in player.declaration.callbacks:
        given[0] = nothing(player)
        if len(prepared.minutes.code):
            try:
                given[0] = opened(player, prepared.session, number, prepared.members)
            except Exception as error:
                where = f"session {prepared.session.name}"
                if not isinstance(error, BtError):
                    error.add_note(where)
                name = player.declaration.name
                raise StrategyRaised(f"strategy {name}: {type(error).__name__}: {error} ({where})") from error
    prior = np.zeros(len(names), dtype=np.int64)  # nothing is held
    zone = ZoneInfo(parts.time.zone)
    show = Stage.of(prepared, [player], names, zone, opened=given, prior=prior, several=False).shows[0]
    feeds = show.feeds if "on_bar" in player.declaration.callbacks else show.feeds[:1]
    return [_rows(feed) for feed in feeds]


def _rows(feed: Feed) -> _Shown:
    """A feed as a frame: symbol, known_at, then the fields as they are declared."""
    end = np.repeat(np.arange(len(feed.start) - 1), np.diff(feed.start))
    known_at = feed.times[end - 1] + MINUTE if len(end) else np.zeros(0, dtype=np.int64)
    columns = {
        "symbol": pl.Series(feed.names[feed.code].tolist(), dtype=pl.String),
        "known_at": _moments(known_at),
    }
    for number, item in enumerate(feed.row.fields):
        if item.source == "symbol":
            continue
        array = feed.arrays.get(number)
        columns[item.name] = _constant(item, feed, end, known_at) if array is None else _column(item, array)
    return _Shown(feed.row.label, pl.DataFrame(columns), feed.code, known_at)


def _column(item: RowField, array: npt.NDArray[Any]) -> pl.Series:
    return pl.Series(array.tolist() if array.dtype.kind == "O" else array, dtype=TYPES[item.type])


def _moments(us: IntArray) -> pl.Series:
    return pl.Series(us, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))


def _constant(item: RowField, feed: Feed, end: IntArray, known_at: IntArray) -> pl.Series:
    """A field that is the same for every bar shown at a moment."""
    n, session = len(end), feed.session
    if item.name == "session":
        return pl.Series([session.name], dtype=pl.Date).new_from_index(0, n)
    if item.name == "interval":
        return pl.Series([feed.row.label], dtype=pl.String).new_from_index(0, n)
    if item.name == "minute":
        return pl.Series(end - 1, dtype=pl.Int64)
    if item.name == "minutes_left":
        return pl.Series(session.minutes - end, dtype=pl.Int64)
    us = feed.times[np.array(feed.tape.began)[end]] if item.name == "open_time" else known_at
    if item.type == "int":
        return pl.Series(us, dtype=pl.Int64)
    moments = _moments(us)
    return moments if item.name != "local_time" else moments.dt.convert_time_zone(str(feed.zone)).dt.time()


def _labelled(shown: list[_Shown], label: Labels, prepared: PreparedSession, number: int, parts: Made) -> Frames:
    """The frames by interval, with their labels."""
    frames: Frames = {}
    for rows in shown:
        columns = []
        for name, asked in label.items():
            if asked.within == "session":
                traded, until = _today(prepared), prepared.session.close
            else:
                traded, until = _later(asked, number, parts), int(parts.span.schedule.close[parts.span.last])
            values, null = forward(asked, rows.code, rows.known_at, traded, until)
            series = pl.Series(name, values, dtype=pl.Float64)
            columns.append(
                series
                if null is None
                else series.to_frame().select(pl.when(pl.Series(~null)).then(pl.col(name))).to_series()
            )
        frames[rows.label] = rows.frame.with_columns(columns)
    return frames


def _today(prepared: PreparedSession) -> Traded:
    bars = prepared.minutes
    times = slot_times(prepared.session)[bars.begin]
    opens, closes = (bars.columns[c].values.astype(np.float64, copy=False) for c in ("open", "close"))
    return Traded(bars.code.astype(np.int64), times, opens, closes)


def _later(asked: ForwardReturn, number: int, parts: Made) -> Traded:
    """The bars of the session and of those that begin before a period after its close is over."""
    schedule = parts.span.schedule
    ends = int(schedule.close[number]) + asked.minutes * MINUTE
    last = number
    while last < parts.span.last and int(schedule.open[last + 1]) < ends:
        last += 1
    return parts.source.traded(number, last)
