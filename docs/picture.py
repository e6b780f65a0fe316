"""Draws docs/equity.svg: what `bt replay data/configs/sma_cross.toml` earned, and one session of one symbol.

    python docs/picture.py

The same run gives the same bytes; a test compares them with the file.
"""
# ruff: noqa: INP001 - a script, no package

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

import bt

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "equity.svg"
CONFIG = ROOT / "data" / "configs" / "sma_cross.toml"
BARS, CALENDAR, ZONE = ROOT / "data" / "sample", "XNYS", "America/New_York"
SYMBOL, DAY, FAST, SLOW = "SABL", date(2024, 11, 19), 20, 120
OUTAGE = 105  # the middle of the feed's outage that day, minutes after the open
EVERY = 15  # minutes between two points of the equity curve
WIDTH, HEIGHT, LEFT, RIGHT = 880, 520, 78, 24
GREY, INK, BLUE, ORANGE, GREEN, RED = "#8b93a1", "#1f2937", "#2563eb", "#d97706", "#15803d", "#dc2626"
FONT = 'font-family="system-ui, sans-serif" font-size="12"'
Point = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """A plotting area between the pixel rows `top` and `bottom`; x runs from 0 to `span`, y from `low` to `high`."""

    top: float
    bottom: float
    span: float
    low: float
    high: float

    def at(self, x: float, y: float) -> Point:
        """The pixel of a value."""
        across = LEFT + x / self.span * (WIDTH - LEFT - RIGHT)
        return across, self.bottom - (y - self.low) / (self.high - self.low) * (self.bottom - self.top)

    def levels(self, step: float, form: str) -> Iterator[str]:
        """A line and a label at every multiple of `step`."""
        for n in range(-int(-self.low // step), int(self.high // step) + 1):
            _, y = self.at(0, n * step)
            yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e5e7eb"/>'
            yield text(LEFT - 8, y + 4, format(n * step, form), "end")

    def ticks(self, marks: Sequence[tuple[float, str]]) -> Iterator[str]:
        """A label below the panel at each x."""
        for x, label in marks:
            across, _ = self.at(x, self.low)
            yield f'<path d="M{across:.1f} {self.bottom:.1f}v5" stroke="{GREY}"/>'
            yield text(across, self.bottom + 18, label, "middle")

    def line(self, points: Sequence[Point], color: str, width: float) -> str:
        """A line through `points`, interrupted where x leaves out a unit."""
        path, before = [], -2.0
        for x, y in points:
            across, down = self.at(x, y)
            path.append(f"{'L' if x - before <= 1 else 'M'}{across:.1f} {down:.1f}")
            before = x
        style = f'fill="none" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"'
        return f'<path d="{"".join(path)}" {style}/>'


def text(x: float, y: float, words: str, anchor: str, color: str = GREY) -> str:
    """Words at a pixel."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{words}</text>'


def title(y: float, words: str) -> str:
    """The heading of a panel."""
    return f'<text x="{LEFT}" y="{y}" fill="{INK}" font-size="15">{words}</text>'


def legend(top: float, entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names in their colors, from the right edge to the left."""
    x = float(WIDTH - RIGHT)
    for name, color in reversed(entries):
        yield text(x, top, name, "end", color)
        x -= 7 * len(name) + 14


def equity(run: bt.Run, top: float, bottom: float) -> Iterator[str]:
    """Equity at every `EVERY` minutes of session and each close, sessions of equal width."""
    curve = run.equity.with_columns(
        number=pl.col("session").rle_id(),
        minute=pl.int_range(1, pl.len() + 1).over("session"),
        minutes=pl.len().over("session"),
    ).filter((pl.col("minute") % EVERY == 0) | (pl.col("minute") == pl.col("minutes")))
    points = [(n + m / of, e) for n, m, of, e in curve.select("number", "minute", "minutes", "equity").iter_rows()]
    days = curve["session"].unique(maintain_order=True).to_list()
    margin = 0.08 * (curve["equity"].max() - curve["equity"].min())
    panel = Panel(top, bottom, len(days), curve["equity"].min() - margin, curve["equity"].max() + margin)
    yield from panel.levels(2_500, ",.0f")
    yield from panel.ticks([(i + 0.5, f"{d:%b} {d.day}") for i, d in enumerate(days) if i % 5 == 0])
    yield panel.line([(0, run.summary["equity_start"]), *points], BLUE, 1.6)


def session(run: bt.Run, top: float, bottom: float) -> Iterator[str]:
    """The symbol's closes and means of `DAY`, and where it was bought and sold."""
    features = {"fast": bt.sma("close", FAST), "slow": bt.sma("close", SLOW)}
    bars = bt.load_bars(BARS, CALENDAR, DAY, DAY, symbols=[SYMBOL], features=features)["1m"]
    day = run.by_session.filter(pl.col("session") == DAY)
    minute = (pl.col("time") - day["open"].item()).dt.total_minutes()
    shown = bars.rename({"close_time": "time"}).select(minute.alias("x"), "close", "fast", "slow")
    fills = run.fills.filter((pl.col("session") == DAY) & (pl.col("symbol") == SYMBOL))
    reach = [bars["close"].min(), bars["close"].max()]
    margin = 0.1 * (reach[1] - reach[0])
    length = (day["close"].item() - day["open"].item()).total_seconds() / 60
    panel = Panel(top, bottom, length, reach[0] - margin, reach[1] + margin)
    opened = day["open"].dt.convert_time_zone(ZONE).item()
    first = 60 - opened.minute
    yield from panel.levels(0.25, ",.2f")
    yield from panel.ticks([(x, f"{opened.hour + 1 + i}:00") for i, x in enumerate(range(first, int(length) + 1, 60))])
    across, down = panel.at(OUTAGE, panel.low)
    yield text(across, down - 8, "no feed", "middle")
    for name, color, width in (("close", GREY, 1.1), ("slow", ORANGE, 1.5), ("fast", BLUE, 1.5)):
        yield panel.line(shown.select("x", name).drop_nulls().rows(), color, width)
    for x, side, price in fills.select(minute, "side", "price").iter_rows():
        across, down = panel.at(x, price)
        tip, base, color = (3, 13, GREEN) if side == "buy" else (-3, -13, RED)
        corners = f"M{across:.1f} {down + tip:.1f}l-6 {base - tip}h12z"
        yield f'<path d="{corners}" fill="{color}" stroke="#fff" stroke-width="0.8"/>'


def draw() -> str:
    """The picture as SVG text."""
    run = bt.replay(CONFIG, save=False)
    names = [("close", GREY), (f"mean of {FAST}", BLUE), (f"of {SLOW}", ORANGE), ("bought", GREEN), ("sold", RED)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff"/>',
        title(28, f"Equity: {run.summary['sessions']} sessions, {run.summary['symbols']} symbols"),
        *equity(run, 44, 222),
        title(284, f"One of them: {SYMBOL} on {DAY}, New York time"),
        *legend(284, names),
        *session(run, 300, 480),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
