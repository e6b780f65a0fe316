"""By what part of itself one share moves a price (decision 0030): coefficient x sigma / sqrt(ADV), of the twenty sessions before."""

from __future__ import annotations

import math

from oracle.market import Day, History


def impact_by_share(history: History, day: Day, coefficient: float) -> dict[str, float]:
    """By symbol; those of which less than two sessions, or no volume, are known have none."""
    before = [d for d in history.days if d.name < day.name][-20:]
    found = {}
    for symbol in {s for d in before for s in history.bars[d.name]}:
        daily = [history.bars[d.name][symbol] for d in before if history.bars[d.name].get(symbol)]
        closes = [float(bars[-1].close) for bars in daily]
        volumes = [float(sum(bar.volume for bar in bars)) for bars in daily]
        squares = 0.0
        for close, earlier in zip(closes[1:], closes, strict=False):
            squares += (close / earlier - 1.0) ** 2
        if len(daily) > 1 and sum(volumes) > 0:
            sigma, adv = math.sqrt(squares / (len(daily) - 1.0)), sum(volumes) / len(daily)
            found[symbol] = coefficient * (sigma / math.sqrt(adv))
    return found
