"""The outcomes as a picture: bars a CPU second of every engine on a logarithmic scale, a dot a size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.peers.running import Outcome
from benchmarks.peers.table import speed

WIDTH, LEFT, RIGHT, TOP, LINE = 880, 250, 40, 58, 26
INK, GREY, OURS = "#1f2937", "#8b93a1", "#2563eb"
COLOURS = {"S": "#9ca3af", "M": "#d97706", "L": "#15803d", "XL": "#7c3aed"}
FONT = 'font-family="system-ui, sans-serif" font-size="12"'


@dataclass(frozen=True)
class Scale:
    """Bars a CPU second to pixels, between powers of ten."""

    low: int
    high: int

    def at(self, value: float) -> float:
        """The pixel column of a value."""
        return LEFT + (math.log10(value) - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)


def speeds(outcomes: Sequence[Outcome], rows: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Bars a CPU second by engine and size, the engine whose best is highest first; those never done last, without any."""
    found: dict[str, dict[str, float]] = {}
    for outcome in outcomes:
        own = found.setdefault(outcome.engine, {})
        if outcome.figures is not None:
            own[outcome.size] = rows[outcome.size] / outcome.figures.cpu
    return dict(sorted(found.items(), key=lambda item: -max(item[1].values(), default=0.0)))


def text(x: float, y: float, words: str, anchor: str = "start", colour: str = INK) -> str:
    """A piece of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" {FONT} fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'


def grid(scale: Scale, bottom: float) -> Iterator[str]:
    """A line and a label at every power of ten."""
    for power in range(scale.low, scale.high + 1):
        x = scale.at(10**power)
        yield f'<path d="M{x:.1f} {TOP - 8}V{bottom:.1f}" stroke="#e5e7eb"/>'
        yield text(x, bottom + 16, speed(10**power), "middle", GREY)


def line(y: float, engine: str, own: Mapping[str, float], scale: Scale, why: str) -> Iterator[str]:
    """An engine's name and its dots."""
    yield text(LEFT - 12, y + 4, engine, "end", OURS if engine.startswith("bt,") else INK)
    if not own:
        yield text(LEFT, y + 4, why, "start", GREY)
    if len(own) > 1:
        ends = (scale.at(min(own.values())), scale.at(max(own.values())))
        yield f'<path d="M{ends[0]:.1f} {y:.1f}H{ends[1]:.1f}" stroke="{GREY}"/>'
    for size, value in own.items():
        yield f'<circle cx="{scale.at(value):.1f}" cy="{y:.1f}" r="5" fill="{COLOURS[size]}"/>'


def svg(outcomes: Sequence[Outcome], rows: Mapping[str, int], heading: str) -> str:
    """The picture."""
    found = speeds(outcomes, rows)
    values = [value for own in found.values() for value in own.values()] or [1e3, 1e4]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    scale = Scale(low, max(high, low + 1))
    bottom = TOP + LINE * len(found)
    why = {outcome.engine: outcome.why for outcome in outcomes if outcome.why}
    told = heading.split("; ", 1)  # the machine, how often
    parts = [text(LEFT, 14, "Bars a CPU second, imports apart")]
    parts += [text(LEFT, 28 + 14 * number, line, colour=GREY) for number, line in enumerate(told)]
    for number, size in enumerate(size for size in COLOURS if size in rows):
        x = 20 + 46 * number
        parts += [f'<circle cx="{x}" cy="14" r="5" fill="{COLOURS[size]}"/>', text(x + 9, 18, size)]
    parts += grid(scale, bottom)
    for number, (engine, own) in enumerate(found.items()):
        parts += line(TOP + LINE * (number + 0.5), engine, own, scale, why.get(engine, ""))
    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 30:.0f}" width="{WIDTH}" height="{bottom + 30:.0f}"'
    return "\n".join([f"<svg {box}>", '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"
