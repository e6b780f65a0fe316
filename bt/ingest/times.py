"""Stamps of any kind, as UTC microseconds.

The kind is chosen once per source from its first rows and then holds for all of it. Text is read as ISO 8601 (with or without an offset, a
``T``, seconds or a fraction), ``M/D/YYYY``, ``YYYYMMDD`` or ``YYYY.MM.DD`` with a time of day, or as an epoch. Day before month is never guessed:
``time_format`` says it, and dates that look so are refused without. Years are 1900 to 2261. Naive stamps need a zone. A local time that the zone skips or
repeats refuses its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import polars as pl

from bt.errors import DataError
from bt.ingest.options import fixed_offset
from bt.ingest.seam import NotBars
from bt.schema import MINUTE

SAMPLE = 1000
EPOCH = "epoch"
_DATES = ("%Y-%m-%d", "%m/%d/%Y", "%Y%m%d", "%Y.%m.%d", "%Y/%m/%d")
_CLOCKS = ("%H:%M:%S%.f", "%H:%M", "%H%M%S", "%H%M", "%I:%M:%S %p", "%I:%M %p")
NAIVE = tuple(f"{d}{gap}{c}" for d in _DATES for c in _CLOCKS for gap in (" ", "T", ","))
AWARE = tuple(f"{d}{gap}{c}{z}" for d in _DATES[:1] for c in _CLOCKS[:2] for gap in "T " for z in ("%#z", " %#z"))
FORMATS = (*AWARE, *NAIVE)
Unit = Literal["s", "ms", "us", "ns"]
UNITS: Mapping[Unit, int] = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": -1_000}
"""Microseconds in a unit of an epoch; negative: units in a microsecond."""
SIZES: Mapping[Unit, tuple[int, int]] = {
    "s": (10**8, 10**11), "ms": (10**11, 10**14), "us": (10**14, 10**17), "ns": (10**17, 2**63 - 1),
}  # fmt: skip
"""How large an epoch is in each unit: from and below."""

_MONTH_FIRST, _DAY_FIRST = "%m/%d/", "%d/%m/"
_SLASHED = r"^\s*(\d{1,2})/(\d{1,2})/"
_YEARS = [int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 for year in (1900, 2262)]


@dataclass(frozen=True, slots=True)
class TimeRule:
    """How one source writes its stamps. `format` is a strptime format, ``epoch`` or "" (already a Datetime); `said` by the user."""

    format: str
    unit: Unit = "us"
    naive: bool = False
    said: bool = False


class MonthFirst:
    """Whether dates show that the month is before the day, as a source's `rule` takes for granted; `where` begins messages.

    A day after the 12th shows it. Without one the month is still read first, which is told, unless the dates are of more months than days: those
    are the days of a month, read the wrong way round.
    """

    def __init__(self, rule: TimeRule, where: str) -> None:
        self._open = self._taken = not rule.said and rule.format.startswith(_MONTH_FIRST)
        self._where = where
        self._months: set[int] = set()
        self._days: set[int] = set()
        self._example = ""
        other = rule.format.replace(_MONTH_FIRST, _DAY_FIRST)
        self._hint = f"say which it is: --time-format '{rule.format}' or '{other}'"

    def see(self, raw: pl.Series, unread: pl.Series) -> None:
        """See more stamps, and which of them the rule could not read.

        Raises
        ------
        DataError
            When one of those has the day first.
        """
        if not self._taken:
            return
        text = raw.filter(unread)
        swapped = text.filter(_part(text, 1).is_between(13, 31) & _part(text, 2).is_between(1, 12))
        if len(swapped):
            raise DataError(
                f"{self._where} must have the month before the day in every row, was {swapped[0]!r}; {self._hint}"
            )
        if self._open:
            read = raw.filter(~unread)
            self._example = self._example or "".join(read.head(1))
            months, days = _part(read, 1), _part(read, 2)
            self._months |= set(months.unique())
            self._days |= set(days.unique())
            self._open = not (days > 12).any()

    def check(self) -> str:
        """What a user should know: that no date has shown it; "" otherwise.

        Raises
        ------
        DataError
            When the dates look as if the day were first.
        """
        if not self._open or not self._example:
            return ""
        if len(self._months) > len(self._days):
            raise DataError(
                f"{self._where} must have the month before the day, was {self._example!r} and others of {len(self._months)} months and "
                f"{len(self._days)} days, none after the 12th; {self._hint}"
            )
        return f"{self._where}: dates are read with the month first, as {self._example!r}, which no day after the 12th shows; {self._hint}"


def _part(text: pl.Series, number: int) -> pl.Series:
    """The first or second number of dates with slashes; 0 where there is none."""
    return text.str.extract(_SLASHED, number).cast(pl.Int64).fill_null(0)


def time_rule(raw: pl.Series, *, tz: str, time_format: str, path: Path, column: str) -> TimeRule:
    """The rule that reads the first rows `raw` of a source.

    Raises
    ------
    NotBars
        When no rule reads them, or they are dates without a time.
    DataError
        When they are naive and `tz` is "".
    """
    if raw.dtype == pl.String:
        raw = raw.str.strip_chars()
        raw = raw.filter(raw != "")
    sample = raw.drop_nulls().head(SAMPLE)
    shown = str(sample[0]) if len(sample) else "nothing"
    rule: TimeRule | None = None
    if raw.dtype == pl.String:
        rule = _text_rule(sample, time_format)
    elif raw.dtype.is_integer():
        rule = _epoch_rule(sample)
    elif isinstance(raw.dtype, pl.Datetime):
        rule = TimeRule("", naive=raw.dtype.time_zone is None)
    if rule is None:
        what = "a date with a time of day, or an epoch, in a usual format"
        raise NotBars(f"{path}: {column} must be {what}, was {shown!r}; say how it is written with --time-format")
    if rule.naive and not tz:
        hint = "say in which zone the vendor writes, e.g. --tz America/New_York or --tz UTC"
        raise DataError(f"{path}: {column} must carry an offset or come with a zone, was {shown!r}; {hint}")
    return rule


def _text_rule(sample: pl.Series, time_format: str) -> TimeRule | None:
    if time_format:
        return TimeRule(time_format, naive="%z" not in time_format and "%#z" not in time_format, said=True)
    if len(sample) == 0:
        return TimeRule(FORMATS[0])
    numbers = sample.filter(sample.str.contains(r"^-?\d{9,19}$"))
    if 2 * len(numbers) >= len(sample):
        return _epoch_rule(numbers)
    best, most = None, 0
    for candidate in FORMATS:
        read = int(_parse(sample, candidate).is_not_null().sum())
        if read > most:
            best, most = candidate, read
            if read == len(sample):
                break
    if best is None or 2 * most < len(sample):
        return None
    return TimeRule(best, naive=best in NAIVE)


def _epoch_rule(sample: pl.Series) -> TimeRule | None:
    """The unit that most of the numbers are of the size of."""
    numbers = sample.cast(pl.Int64, strict=False)
    alike = {unit: int(_sized(numbers, unit).sum()) for unit in UNITS}
    unit = max(alike, key=lambda unit: alike[unit])
    return TimeRule(EPOCH, unit) if 2 * alike[unit] > len(sample) else None


def _sized(epoch: pl.Series, unit: Unit) -> pl.Series:
    low, high = SIZES[unit]
    return epoch.abs().is_between(low, high, closed="left")


def _parse(text: pl.Series, time_format: str) -> pl.Series:
    return _in_years(text.str.to_datetime(time_format, time_unit="us", strict=False, ambiguous="earliest"))


def _in_years(moment: pl.Series) -> pl.Series:
    """The moments of years that bars can be of, null for others: a year of two digits is read as one of antiquity."""
    frame = pl.DataFrame({"moment": moment})
    inside = pl.col("moment").to_physical().is_between(_YEARS[0], _YEARS[1], closed="left")
    return frame.select(pl.when(inside).then("moment")).to_series()


def utc_microseconds(raw: pl.Series, rule: TimeRule, tz: str) -> tuple[pl.Series, pl.Series]:
    """UTC microseconds (Int64, null where unreadable) and why not (String: bad_time, ambiguous_time, nonexistent_time or null)."""
    if raw.dtype == pl.String:
        raw = raw.str.strip_chars()
    if rule.format == EPOCH:
        time = _in_years(_from_epoch(raw.cast(pl.Int64, strict=False), rule.unit))
        return time, _reason(time.is_null(), "bad_time")
    moment = _parse(raw.cast(pl.String), rule.format) if rule.format else _in_years(_to_microseconds(raw))
    bad = _reason(moment.is_null(), "bad_time")
    if not rule.naive:
        return moment.to_physical(), bad
    return _localised(moment, tz, bad)


def _from_epoch(epoch: pl.Series, unit: Unit) -> pl.Series:
    """Microseconds; null where the number is of the size of another unit."""
    frame = pl.DataFrame({"epoch": epoch, "sized": _sized(epoch, unit)})
    epoch = frame.select(pl.when("sized").then("epoch")).to_series()
    factor = UNITS[unit]
    if factor > 0:
        return epoch * factor
    return _whole(epoch)


def _whole(nanoseconds: pl.Series) -> pl.Series:
    """Microseconds of `nanoseconds`, never on the minute unless they were."""
    micros = nanoseconds // 1000
    lost = (nanoseconds % 1000 != 0) & (micros % MINUTE == 0)
    return micros + lost.cast(pl.Int64)


def _to_microseconds(moment: pl.Series) -> pl.Series:
    if isinstance(moment.dtype, pl.Datetime) and moment.dtype.time_unit == "ns":
        return _whole(moment.to_physical()).cast(pl.Datetime("us", moment.dtype.time_zone))
    return moment.dt.cast_time_unit("us")


def _localised(moment: pl.Series, tz: str, bad: pl.Series) -> tuple[pl.Series, pl.Series]:
    offset = fixed_offset(tz)
    if offset is not None:
        return moment.to_physical() - offset * MINUTE, bad
    local = moment.dt.replace_time_zone(tz, ambiguous="null", non_existent="null")
    lost = local.is_null() & moment.is_not_null()
    if lost.any():
        either = moment.dt.replace_time_zone(tz, ambiguous="earliest", non_existent="null")
        frame = pl.DataFrame({"bad": bad, "lost": lost, "twice": either.is_not_null()})
        why = pl.when("lost").then(
            pl.when("twice").then(pl.lit("ambiguous_time")).otherwise(pl.lit("nonexistent_time"))
        )
        bad = frame.select(why.otherwise(pl.col("bad")).alias("reason")).to_series()
    return local.to_physical(), bad


def _reason(where: pl.Series, reason: str) -> pl.Series:
    frame = pl.DataFrame({"where": where})
    return frame.select(pl.when("where").then(pl.lit(reason)).alias("reason")).to_series()
