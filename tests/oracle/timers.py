"""Timers: when a method is called by the exchange's clock (docs/strategies.md), found by looking at every minute.

A moment is "open", "close", either with minutes or hours to or from it ("open+30m", "close-1h"), or a local time ("10:00").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

from oracle.market import MINUTE, Day, instant


@dataclass(frozen=True)
class Timer:
    """Calls `method` once, at `at`; or every `every` ("15m") from `start` (one period after the open) until before `end`."""

    method: str
    at: str = ""
    every: str = ""
    start: str = ""
    end: str = "close"

    def instants(self, day: Day, zone: tzinfo) -> list[int]:
        """When it goes off, UTC microseconds in order: at the ends of a break, never inside it."""
        if self.at:
            wanted = moment(self.at, day, zone)
            times = [] if wanted is None else [wanted]
        else:
            first = moment(self.start or f"open+{self.every}", day, zone)
            last = moment(self.end, day, zone)
            last = day.close if last is None else last
            step = minutes(self.every) * MINUTE
            clock = range(day.open, last, MINUTE)
            times = [] if first is None else [t for t in clock if t >= first and (t - first) % step == 0]
        return [t for t in times if day.open <= t <= day.close and not in_break(t, day)]


def minutes(period: str) -> int:
    """ "15m" or "1h" in minutes."""
    return int(period[:-1]) * {"m": 1, "h": 60}[period[-1]]


def moment(text: str, day: Day, zone: tzinfo) -> int | None:
    """UTC microseconds of a moment of the day; None where no minute of its hours has that local time."""
    for name, anchor in (("open", day.open), ("close", day.close)):
        if text == name:
            return anchor
        if text.startswith((f"{name}+", f"{name}-")):
            sign = 1 if text[len(name)] == "+" else -1
            return anchor + sign * minutes(text[len(name) + 1 :]) * MINUTE
    for t in range(day.open, day.close + MINUTE, MINUTE):
        if f"{instant(t).astimezone(zone):%H:%M}" == text:
            return t
    return None


def in_break(t: int, day: Day) -> bool:
    """Whether the exchange rests at `t`: neither at the break's first instant nor at its last."""
    return any(end < t < start for (_, end), (start, _) in zip(day.segments, day.segments[1:], strict=False))
