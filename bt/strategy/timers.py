"""Timers: methods that are called by the exchange's clock, half days included, whether or not a symbol has a bar.

`every` and `at` mark a strategy's methods; a `Timer` is such a mark, read; `instants` is when it goes off in a session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from bt.errors import StrategyError
from bt.model import Schedule, Session, instant
from bt.schema import DAY, MINUTE, interval_minutes

F = TypeVar("F", bound=Callable[..., Any])

MARK = "__bt_timers__"
"""The attribute in which a decorated method keeps its timers."""

_RELATIVE = re.compile(r"(open|close)(?:([+-])(\d+)([mh]))?")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Moment(NamedTuple):
    """A moment of a session: minutes from its open or its close, or a local time of day."""

    anchor: str
    minutes: int = 0

    def __str__(self) -> str:
        if self.anchor == "clock":
            return f"{self.minutes // 60:02}:{self.minutes % 60:02}"
        return self.anchor + (f"{self.minutes:+}m" if self.minutes else "")

    def of(self, session: Session, zone: ZoneInfo) -> int | None:
        """UTC microseconds of the moment in a session; None where the session has no such time of day."""
        if self.anchor == "open":
            return session.open + self.minutes * MINUTE
        if self.anchor == "close":
            return session.close + self.minutes * MINUTE
        opened = instant(session.open).astimezone(zone)
        clock = time(self.minutes // 60, self.minutes % 60)
        for days in range((instant(session.close).astimezone(zone).date() - opened.date()).days + 1):
            local = datetime.combine(opened.date() + timedelta(days=days), clock, tzinfo=zone)
            us = int(local.astimezone(UTC).timestamp()) * 1_000_000
            if session.open <= us <= session.close:
                return us
        return None


@dataclass(frozen=True, slots=True)
class Timer:
    """When a method is called: every `minutes` from `start` until before `end`, or with `minutes` 0 once, at `start`."""

    method: str
    minutes: int
    start: Moment
    end: Moment

    def instants(self, session: Session, zone: ZoneInfo) -> list[int]:
        """UTC microseconds at which it goes off in a session, never inside a break."""
        first = self.start.of(session, zone)
        if first is None:
            return []
        if not self.minutes:
            times: Iterator[int] = iter((first,))
        else:
            last = self.end.of(session, zone)
            times = iter(range(first, session.close if last is None else last, self.minutes * MINUTE))
        return [t for t in times if any(o <= t <= c for o, c in session.segments)]


def slots_ended(session: Session, us: int) -> int:
    """How many minutes of the session are over at `us`."""
    return sum(max(0, min(us, c) - o) for o, c in session.segments) // MINUTE


def ends_a_minute(session: Session, us: int) -> bool:
    """Whether a minute of the session ends at `us`: not so at its open, nor when a break is over."""
    return any(o < us <= c for o, c in session.segments)


def _moment(text: Any, where: str) -> Moment:
    """Parse "open", "open+30m", "close-1h" or "10:00"."""
    if isinstance(text, str):
        if found := _RELATIVE.fullmatch(text):
            anchor, sign, number, unit = found.groups()
            minutes = int(number or 0) * (60 if unit == "h" else 1) * (-1 if sign == "-" else 1)
            if (minutes < 0) == (anchor == "close") or minutes == 0:
                return Moment(anchor, minutes)
        if found := _CLOCK.fullmatch(text):
            return Moment("clock", int(found[1]) * 60 + int(found[2]))
    raise StrategyError(
        f'{where} must be a moment inside the session, like "open+30m", "close-5m" or the exchange\'s time in four digits "09:45", was {text!r}'
    )


def every(period: str, *, start: str = "", end: str = "close") -> Callable[[F], F]:
    """Decorate a method ``(rows, book)`` to be called every `period` of the exchange's clock.

    Parameters
    ----------
    period : str
        Minutes or hours: "15m", "1h".
    start : str
        The first call: "open+30m", "close-2h" or a local time "10:00"; the default is one `period` after the open.
    end : str
        No call from then on, default "close": at the close no order finds a bar any more.

    Raises
    ------
    StrategyError
        The period or a moment is not one, or the end does not come after the start. Of two local times the calendar of the
        run decides that, before the run starts.
    """
    try:
        minutes = interval_minutes(period)
    except (ValueError, TypeError):
        minutes = DAY
    if minutes >= DAY:
        raise StrategyError(f'every: period must be like "15m" or "1h", was {period!r}')
    first = _moment(start, "every: start") if start else Moment("open", minutes)
    last = _moment(end, "every: end")
    if first.anchor == last.anchor != "clock" and first.minutes >= last.minutes:
        raise StrategyError(_never("every", first, last))

    def mark(method: F) -> F:
        return _marked(method, Timer(method.__name__, minutes, first, last))

    return mark


def at(moment: str) -> Callable[[F], F]:
    """Decorate a method ``(rows, book)`` to be called once a session: at "open", "open+30m", "close-5m" or "10:00".

    "10:00" is the exchange's local time; a session without that time of day does not call it.

    Raises
    ------
    StrategyError
        The moment is not one.
    """
    when = _moment(moment, "at: moment")

    def mark(method: F) -> F:
        return _marked(method, Timer(method.__name__, 0, when, when))

    return mark


def check_timers(timers: Sequence[Timer], schedule: Schedule, owner: str) -> None:
    """Refuse timers between two local times of which the end comes first, in every session that has both.

    Raises
    ------
    StrategyError
        Such a timer would never go off.
    """
    zone = ZoneInfo(schedule.zone)
    for timer in timers:
        if timer.minutes and timer.start.anchor == timer.end.anchor == "clock":
            sessions = [schedule.session(i) for i in range(len(schedule))]
            starts = [(session, us) for session in sessions if (us := timer.start.of(session, zone)) is not None]
            ends = [timer.end.of(session, zone) for session, _ in starts]
            if starts and all(end is not None and end <= us for (_, us), end in zip(starts, ends, strict=True)):
                raise StrategyError(_never(f"{owner}: {timer.method}: every", timer.start, timer.end))


def _never(where: str, start: Moment, end: Moment) -> str:
    return f"{where}: end must come after the start {start}, was {end}: it would never be called; mend one of them"


def _marked(method: F, timer: Timer) -> F:
    setattr(method, MARK, (timer, *getattr(method, MARK, ())))
    return method


def timers_of(cls: type) -> tuple[Timer, ...]:
    """Every timer of a class, in the order in which its methods were written, base classes first."""
    found: dict[str, tuple[Timer, ...]] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            found.pop(name, None)
            if hasattr(value, MARK):
                found[name] = getattr(value, MARK)
    return tuple(timer for timers in found.values() for timer in timers)
