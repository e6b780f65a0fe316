"""Where CPU time goes as a picture: a bar a case, a piece a stage, in seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from benchmarks.peers.chart import GREY, text

WIDTH, LEFT, RIGHT, TOP, LINE = 880, 300, 60, 84, 30
COLOURS = (
    "#1d4ed8", "#60a5fa", "#15803d", "#86efac", "#a16207", "#fcd34d", "#7c3aed", "#dc2626", "#f97316", "#9ca3af",
)  # fmt: skip
LEGEND = 5
"""Stages on a line of the legend."""


def legend(stages: Sequence[str]) -> Iterator[str]:
    """Every stage's colour and name."""
    for number, stage in enumerate(stages):
        x, y = 20 + (WIDTH - 40) / LEGEND * (number % LEGEND), 34 + 18 * (number // LEGEND)
        yield f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="10" height="10" fill="{COLOURS[number]}"/>'
        yield text(x + 15, y, stage)


def bar(y: float, case: str, seconds: Mapping[str, float], scale: float) -> Iterator[str]:
    """A case's name, its pieces and their sum."""
    yield text(LEFT - 12, y + 4, case, "end")
    x = float(LEFT)
    for colour, (stage, value) in zip(COLOURS, seconds.items(), strict=False):
        width = value * scale
        title = f"<title>{escape(stage)}: {value:.2f} s</title>"
        yield f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="{width:.1f}" height="18" fill="{colour}">{title}</rect>'
        x += width
    yield text(x + 6, y + 4, f"{sum(seconds.values()):.2f}", colour=GREY)


def svg(cases: Mapping[str, Mapping[str, float]], heading: str) -> str:
    """The picture of seconds by case and stage."""
    stages = list(next(iter(cases.values())))
    most = max(sum(seconds.values()) for seconds in cases.values())
    scale = (WIDTH - LEFT - RIGHT) / most
    bottom = TOP + LINE * len(cases)
    parts = [text(20, 16, f"CPU seconds, {heading}", colour=GREY), *legend(stages)]
    step = 10.0 ** math.floor(math.log10(most))
    for number in range(int(most / step) + 1):
        x = LEFT + number * step * scale
        parts += [
            f'<path d="M{x:.1f} {TOP - 8}V{bottom:.1f}" stroke="#e5e7eb"/>',
            text(x, bottom + 16, f"{number * step:g}", "middle", GREY),
        ]
    for number, (case, seconds) in enumerate(cases.items()):
        parts += bar(TOP + LINE * (number + 0.5), case, seconds, scale)
    height = bottom + 28
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">'
    body = "\n".join(parts)
    return f'{head}\n<title>Where the CPU seconds of a replay go</title>\n<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
