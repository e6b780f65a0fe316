"""What must hold before anything is replayed: start-stamped times, features that do not peek and declare enough warm-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import BtError, DataError, FeatureError
from bt.features import Feature, Ordered, Runs, borders, ranges
from bt.model import Column, instant
from bt.prepare.columns import Bars, evaluate
from bt.prepare.plan import Wanted
from bt.prepare.window import Loaded
from bt.schema import FAULT_REASONS


def faults(loaded: Loaded, source: str, symbols: tuple[str, ...]) -> dict[int, str]:
    """The first row fault of each session (counted from the window's first) that has one, as an error's text."""
    if loaded.withheld.is_empty():
        return {}
    found = loaded.withheld.filter(pl.col("reason").is_in(list(FAULT_REASONS))).sort("session", "time", "code")
    first = found.group_by("session", maintain_order=True).agg(pl.all().first(), pl.len().alias("rows"))
    return {
        session: f"{source}: every row must be sound, but {symbols[code]} at {instant(time):%Y-%m-%d %H:%M:%S} UTC is {reason} "
        f'({rows} such rows in this session); repair the data or set run.on_data_error = "isolate"'
        for session, code, time, reason, rows in first.select("session", "code", "time", "reason", "rows").iter_rows()
    }


def check_stamps(loaded: Loaded, source: str) -> None:
    """Refuse end-stamped data declared as start-stamped, where the calendar proves it.

    Bars labelled by their end have none at any open, one at the second minute, and one at the close of nearly every
    symbol's session; a single such session proves nothing.
    """
    minutes = loaded.minutes
    close = np.array([s.close for s in minutes.sessions], dtype=np.int64)
    outside = loaded.withheld.filter(pl.col("reason").is_in(["closing_print", "after_close"]))
    closes = outside.filter(pl.Series(outside["time"].to_numpy() == close[outside["session"].to_numpy()]))
    sessions = len(np.unique(minutes.group))
    second = len(np.unique(minutes.group[minutes.slot == 1]))
    at_close = closes.select("session", "code").n_unique()
    if sessions >= PROOF and not (minutes.slot == 0).any() and min(at_close, second) >= 0.9 * sessions:
        raise DataError(
            f"{source}: timestamps must be the start of the minute as declared, but {at_close} of {sessions} "
            'symbol-sessions have a bar at the close and none has one at the open; set data.stamp = "end"'
        )


PROOF = 2
"""Symbol-sessions that must agree before timestamps are called end-stamped."""

PROOF_SESSIONS = 5
"""Sessions at the start of a run that are looked at."""


def check_feature(over: Bars, wanted: Wanted, first: int) -> None:
    """Evaluate an expression feature twice more on the first session: cut short, and with twice its warm-up.

    Where no symbol has a bar before that session, its first half stands for what is before. A `lookback` in sessions cannot
    be judged then. A `lookback` of 0 is that of the session so far, unless the expression is found to look back a limited way
    (`_reaches_back`).

    Raises
    ------
    FeatureError
        A value changes when later bars are cut off (it peeks), or when more warm-up is there.
    """
    feature = wanted.feature
    bars = over.ordered
    upcoming = bars.session[bars.session >= first]
    if feature.kind not in ("expression", "recursive") or not len(upcoming):
        return
    first = int(upcoming.min())  # the first session with a bar
    today = bars.session == first
    source = f"feature {feature.aggregate if feature.expr is None else feature.expr}"
    bars = replace(bars, chosen=bars.runs.session == first)
    judged = bars if (bars.runs.session < first).any() else _halved(bars, first)
    try:
        whole = evaluate(bars, feature)
        once = whole if judged is bars else evaluate(judged, feature)
        double = evaluate(judged, feature, factor=2)
        windowed = _reaches_back(_halved(bars.only(today), first), feature)
    except BtError:
        raise
    except Exception:  # noqa: BLE001 - it fails for some symbol; told where symbols are dropped
        return
    at = _first_difference(once.pick(judged.wanted), double.pick(judged.wanted), 1e-9)
    if at is not None:
        declared = f"{feature.sessions}d" if feature.sessions else feature.bars
        raise FeatureError(
            f"{source}: lookback must cover what it reads, was {declared}; with twice the warm-up a value of the first "
            f"session changed from {at[0]} to {at[1]}: declare a longer lookback"
        )
    if windowed is not None:
        raise FeatureError(
            f"{source}: lookback must cover what it reads, was 0; with bars of earlier sessions before it a value of the first session changed "
            f'from {windowed[0]} to {windowed[1]}: declare a lookback, or within="session" where each session is to begin afresh'
        )
    for part in CUTS:
        keep = _cut(bars, today, part)
        cut = bars.only(keep)
        if not cut.wanted.any():
            continue
        try:
            short = evaluate(cut, feature)
        except BtError:
            raise
        except Exception as error:  # it needs what was cut off
            raise FeatureError(f"{source}: it must do without later bars, but raised {error}") from error
        at = _first_difference(whole.pick(keep & today), short.pick(cut.wanted), 1e-9)
        if at is not None:
            raise FeatureError(
                f"{source}: a value must not depend on later bars; with the last bars of the first session cut off it "
                f"changed from {at[0]} to {at[1]}: shift it back or drop what looks ahead"
            )


def _reaches_back(halves: Ordered, feature: Feature) -> tuple[object, object] | None:
    """Two values of an expression with a lookback of 0 that show it to look back a limited way, in a session whose first half stands for what
    is before; None where that is not found.

    A window sees the bars right before, and not what is beyond them; the session so far sees all there is. So values with some
    bars before differ from those with none, and stay where prices beyond those bars are ten times larger and smaller.
    A window longer than a quarter of the session is not told from the session so far.
    """
    if feature.kind != "expression" or feature.bars or feature.sessions or feature.within is not None:
        return None
    runs, stop = halves.runs, halves.runs.stop(len(halves))
    before = np.append(runs.code[1:] == runs.code[:-1], False)
    some = int((stop - runs.start)[before].max(initial=0)) // 2
    judged = np.append(False, before[:-1] & ((stop - runs.start)[:-1] > some))
    if not some or not judged.any():
        return None
    far = ranges(runs.start[before], np.maximum(stop[before] - some, runs.start[before]))
    factor = np.ones(len(halves))
    factor[far] = np.where(far % 2, 10.0, 0.1)
    frame = halves.frame(halves.own.columns)
    scaled = frame.select((pl.col(c) * pl.Series(factor)).cast(t) for c, t in frame.schema.items())
    halves = replace(halves, chosen=judged)
    none = evaluate(halves, feature).pick(halves.wanted)
    near = evaluate(halves, replace(feature, bars=some)).pick(halves.wanted)
    changed = _first_difference(none, near, 1e-9)
    if changed is None:
        return None
    beyond = evaluate(halves.made_of(scaled), replace(feature, bars=len(halves)))
    return changed if _first_difference(near, beyond.pick(halves.wanted), 1e-9) is None else None


def _halved(bars: Ordered, first: int) -> Ordered:
    """Nothing is before the session `first`: its first half as a session of its own, which the second has for warm-up."""
    runs, stop = bars.runs, bars.runs.stop(len(bars))
    split = (runs.session == first) & (stop - runs.start > 1)
    middle = (runs.start[split] + stop[split]) // 2
    start = np.concatenate([runs.start, middle])
    code = np.concatenate([runs.code, runs.code[split]])
    session = np.concatenate([np.where(split, first - 1, runs.session), np.full(len(middle), first)])
    order = np.argsort(start)
    halves = Runs(start[order], code[order], session[order])
    return replace(bars, runs=halves, chosen=halves.session == first)


def check_signals(source: str, evaluate: Callable[[pl.DataFrame], Mapping[str, Column]], frame: pl.DataFrame) -> None:
    """Evaluate the signals of a session's minute bars (sorted by `CODE`, time) again with the last bars of every symbol cut off.

    Raises
    ------
    FeatureError
        A value before the cut changes: the signal peeks.
    """
    whole = evaluate(frame)
    code = frame[CODE].to_numpy()
    for part in CUTS:
        keep = _leading(code, part)
        try:
            short = evaluate(frame.filter(pl.Series(keep)))
        except BtError:
            raise
        except Exception as error:  # it needs what was cut off
            raise FeatureError(f"{source} must do without later bars, but raised {error}") from error
        for name, values in whole.items():
            at = _first_difference(values.pick(keep), short[name], 1e-9)
            if at is not None:
                raise FeatureError(
                    f"{source}: {name!r} must not depend on later bars, but it peeks; with the last bars of the first session cut off it "
                    f"changed from {at[0]} to {at[1]}: shift it back or drop what looks ahead"
                )


CODE = "__code"
"""The column of symbols' codes beside those that signals read."""

CUTS = (0.0, 0.25, 0.5, 0.75)
"""How much of a symbol's first session is left when the rest is cut off; at least its first bar."""


def _cut(bars: Ordered, today: npt.NDArray[np.bool_], part: float) -> npt.NDArray[np.bool_]:
    """The rows up to `part` of each symbol's bars in the session marked `today`."""
    rows = np.flatnonzero(today)
    keep: npt.NDArray[np.bool_] = bars.session < bars.session[rows[0]]
    keep[rows] = _leading(bars.code[rows], part)
    return keep


def _leading(code: npt.NDArray[np.int64], part: float) -> npt.NDArray[np.bool_]:
    """Of rows sorted by code, up to `part` of each one's; at least its first."""
    start = borders(code)
    count = np.diff(np.append(start, len(code)))
    kept = np.maximum(np.ceil(count * part), 1).astype(np.int64)
    return np.asarray(np.arange(len(code)) < np.repeat(start + kept, count))


def _first_difference(one: Column, other: Column, tolerance: float) -> tuple[object, object] | None:
    """The first pair of values that differ by more than `tolerance`, relatively; None if there is none."""
    left, right = one.values, other.values
    null = np.zeros(len(left), dtype=bool)
    left_null, right_null = (null if c.null is None else c.null for c in (one, other))
    if left.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            near = np.abs(left - right) <= tolerance * np.maximum(np.abs(left), np.abs(right))
        same = near | (left == right) | (np.isnan(left) & np.isnan(right))
    else:
        same = left == right
    same = (same & ~left_null & ~right_null) | (left_null & right_null)
    if same.all():
        return None
    i = int(np.flatnonzero(~same)[0])
    return (None if left_null[i] else left[i].item()), (None if right_null[i] else right[i].item())
