"""What must hold before anything is replayed: start-stamped times, features that do not peek and declare enough warm-up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import BtError, DataError, FeatureError
from bt.model import Column, instant
from bt.prepare.columns import Bars, evaluate
from bt.prepare.plan import Wanted
from bt.prepare.window import Loaded
from bt.schema import FAULT_REASONS


def check_faults(loaded: Loaded, source: str, symbols: tuple[str, ...]) -> None:
    """``on_data_error = "raise"``: refuse the window's first row fault."""
    faults = loaded.withheld.filter(pl.col("reason").is_in(list(FAULT_REASONS))).sort("time", "code")
    if faults.height:
        code, time, reason = faults.select("code", "time", "reason").row(0)
        raise DataError(
            f"{source}: every row must be sound, but {symbols[code]} at {instant(time):%Y-%m-%d %H:%M:%S} UTC is {reason} "
            f'({faults.height} such rows in this window); repair the data or set run.on_data_error = "isolate"'
        )


def check_stamps(loaded: Loaded, source: str) -> None:
    """Refuse end-stamped data declared as start-stamped, where the calendar proves it.

    Bars labelled by their end have none at any open and one at the close of nearly every symbol's session.
    """
    minutes = loaded.minutes
    if not minutes.frame.height:
        return
    groups = np.unique(minutes.group)
    opens = int((minutes.slot == 0).sum())
    close = np.array([s.close for s in minutes.sessions], dtype=np.int64)
    outside = loaded.withheld.filter(pl.col("reason").is_in(["closing_print", "after_close", "in_break"]))
    at_close = int((outside["time"].to_numpy() == close[outside["session"].to_numpy()]).sum())
    second = int((minutes.slot == 1).sum())
    if opens == 0 and second > 0 and at_close >= 0.9 * len(groups):
        raise DataError(
            f"{source}: timestamps must be the start of the minute as declared, but {at_close} of {len(groups)} symbol-sessions "
            'have a bar at the close and none has one at the open; set data.stamp = "end"'
        )


def check_feature(over: Bars, wanted: Wanted, first: int) -> None:
    """Evaluate an expression feature twice more on the first session: cut short, and with twice its warm-up.

    Raises
    ------
    FeatureError
        A value changes when later bars are cut off (it peeks), or when more warm-up is there.
    """
    feature = wanted.feature
    bars = over.ordered
    upcoming = bars.session[bars.session >= first]
    if feature.kind != "expression" or not len(upcoming):
        return
    first = int(upcoming.min())  # the first session with a bar
    today = bars.session == first
    source = f"feature {feature.expr}"
    try:
        whole = evaluate(bars, feature)
        double = evaluate(bars, feature, factor=2)
    except BtError:
        raise
    except Exception:  # noqa: BLE001 - it fails for some symbol; told where symbols are dropped
        return
    at = _first_difference(_picked(whole, today), _picked(double, today), 1e-9)
    if at is not None:
        raise FeatureError(
            f"{source}: lookback must cover what it reads, was {feature.bars or f'{feature.sessions}d'}: with twice the warm-up a value of the first session changed "
            f"from {at[0]} to {at[1]}; declare a longer lookback"
        )
    stop = np.searchsorted(bars.code, bars.code, side="right")
    number = np.arange(len(bars.code))
    count = np.bincount(bars.code[today], minlength=int(bars.code.max()) + 1)[bars.code]
    later = bars.session > first
    position = number - (stop - np.bincount(bars.code[later], minlength=int(bars.code.max()) + 1)[bars.code] - count)
    keep = ~later & (~today | (position < -(-count // 2)))
    cut = bars.only(keep)
    short = evaluate(cut, feature)
    at = _first_difference(_picked(whole, keep & today), _picked(short, cut.session == first), 1e-9)
    if at is not None:
        raise FeatureError(
            f"{source}: a value must not depend on later bars; with the last bars of the first session cut off it changed from {at[0]} to {at[1]}; "
            "shift it back or drop what looks ahead"
        )


def _picked(values: Column, rows: npt.NDArray[np.bool_]) -> Column:
    return Column(values.values[rows], None if values.null is None else values.null[rows])


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
