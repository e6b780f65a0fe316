"""Equity, drawdown, exposure and returns of a run's page."""

from __future__ import annotations

import math
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.figures import account, by_minute, by_month, drawdown, evenly, session_returns, thinned
from bt.report.parts import NONE, Cell, Table, clock, money, percent, tinted
from bt.report.subject import RunTold

Floats = npt.NDArray[np.float64]

POINTS = 2_000
"""Points of a curve: no screen shows more."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Curves(NamedTuple):
    """The curves of a run's account: `data` for the charts; tables of the same; the drawdown by session closes."""

    data: dict[str, Any]
    closes: Table
    months: Table
    times: Table
    closing_drawdown: float | None


def curves(run: RunTold) -> Curves:
    """All that the equity table tells."""
    start, zone = run.summary["equity_start"], ZoneInfo(run.zone)
    minutes = account(run.tables["equity"])
    sessions = session_returns(minutes, start)
    worth = minutes["equity"].to_numpy()
    under = drawdown(worth, start)
    closing = drawdown(sessions["equity"].to_numpy(), start)
    day = by_minute(minutes, start)
    opens = minutes.group_by("session", maintain_order=True).agg(pl.col("time").first()).sort("session")
    labels = _labels(minutes, zone)
    data = {
        "zone": run.zone,
        "count": minutes.height,
        "equity": _points(
            minutes, {"equity": (worth, 2 if start >= 100 else 8), "drawdown": (under * 100, _percent_digits(under))}
        ),
        "exposure": _points(minutes, _exposure(minutes)),
        "days": _days(minutes, opens),
        "minutes": {
            "first": day["first"].to_list(),
            "label": [labels[i] for i in day["first"].to_list()],
            "bp": _rounded(day["return"].to_numpy() * 1e4, 4),
            "sum": _rounded(np.cumsum(np.nan_to_num(day["return"].to_numpy())) * 1e4, 4),
        },
    }
    deepest = float(closing.min()) if len(closing) else None
    return Curves(data, _closes(sessions, closing), _months(by_month(sessions, start)), _times(day, labels), deepest)


def _exposure(minutes: pl.DataFrame) -> dict[str, tuple[Floats, int]]:
    worth = minutes["equity"].to_numpy()
    share = {}
    for name in ("gross", "net"):
        values = np.divide(minutes[name].to_numpy(), worth, out=np.zeros(len(worth)), where=worth > 0)
        share[name] = (values * 100, 3)
    return share


def _points(minutes: pl.DataFrame, columns: dict[str, tuple[Floats, int]]) -> dict[str, list[Any]]:
    """The points of parallel series that a screen shows: place x, time t (minutes since 1970), and the values."""
    if not minutes.height:
        return {name: [] for name in ("x", "t", *columns)}
    kept = thinned([values for values, _ in columns.values()], POINTS)
    times = minutes["time"].dt.epoch("us").to_numpy()[kept] // 60_000_000
    told = {name: _rounded(values[kept], digits) for name, (values, digits) in columns.items()}
    return {"x": kept.tolist(), "t": times.tolist(), **told}


def _percent_digits(shares: Floats) -> int:
    """Digits of shares as percent: four, and more where all are so small that those would make stairs of them."""
    largest = float(np.abs(shares).max(initial=0)) * 100
    return 4 if largest == 0 or largest >= 1 else 4 - math.floor(math.log10(largest))


def _rounded(values: Floats, digits: int) -> list[float | None]:
    return [None if not np.isfinite(v) else round(v, digits) for v in values.tolist()]


def _days(minutes: pl.DataFrame, opens: pl.DataFrame) -> list[list[Any]]:
    """Where sessions begin: place and date, of at most 400 sessions."""
    first = minutes.with_row_index("place").group_by("session", maintain_order=True).agg(pl.col("place").first())
    places = first.sort("session")["place"].to_list()
    names = [f"{d}" for d in opens["session"].to_list()]
    return [[places[i], names[i]] for i in evenly(len(places), 400).tolist()]


def _labels(minutes: pl.DataFrame, zone: ZoneInfo) -> list[str]:
    """What the exchange's clock shows at the start of each minute of the longest session."""
    if not minutes.height:
        return []
    longest = minutes.group_by("session", maintain_order=True).len().sort("len", "session")["session"][-1]
    ends = minutes.filter(pl.col("session") == longest)["time"].dt.offset_by("-1m")
    return [clock(time, zone, "%H:%M") for time in ends.to_list()]


def _closes(sessions: pl.DataFrame, closing: Floats) -> Table:
    told = sessions.with_columns(pl.Series("drawdown", closing))
    kept = set(evenly(told.height, 40).tolist()) | ({int(closing.argmin())} if len(closing) else set())
    rows = [
        [f"{day}", money(worth), percent(change, sign=True), percent(under)]
        for place, (day, worth, change, under) in enumerate(
            told.select("session", "equity", "return", "drawdown").iter_rows()
        )
        if place in kept
    ]
    few = (
        ""
        if len(rows) == told.height
        else f" ({len(rows)} of {told.height:,} sessions, the deepest drawdown among them)"
    )
    return Table(f"Equity at session closes{few}", ("Session", "Equity", "Return", "Drawdown at closes"), rows)


def _months(months: pl.DataFrame) -> Table:
    most = float(months["return"].abs().max() or 0.0)  # type: ignore[arg-type]
    by_year: dict[int, dict[int, float | None]] = {}
    for year, month, change in months.select("year", "month", "return").iter_rows():
        by_year.setdefault(year, {})[month] = change
    rows: list[list[str | Cell]] = []
    only = next(iter(by_year.values())) if len(by_year) == 1 else range(1, 13)  # of one year its own months
    for year, found in sorted(by_year.items()):
        cells = [tinted(found[m], most, percent(found[m], sign=True)) if m in found else Cell("") for m in only]
        whole = None if None in found.values() else float(np.prod([1 + (v or 0.0) for v in found.values()])) - 1
        rows.append([f"{year}", *cells, percent(whole, sign=True)])
    return Table("Returns by month", ("Year", *(MONTHS[m - 1] for m in only), "Whole"), rows)


def _times(day: pl.DataFrame, labels: list[str]) -> Table:
    """The chart of minutes as a table, in at most 28 rows."""
    step = max(-(-day.height // 28), 1)
    rows: list[list[str | Cell]] = []
    for a in range(0, day.height, step):
        part = day[a : a + step]
        bp = float(part["return"].fill_nan(0.0).sum()) * 1e4
        rows.append(
            [labels[part["first"][0]] if labels else NONE, f"{bp:+.3f}", f"{int(part['sessions'].to_numpy().max()):,}"]
        )
    return Table("Mean return by time of the session", ("From", "Basis points", "Sessions"), rows)
