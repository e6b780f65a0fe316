"""Tiers of commission: [[0, 0.0035], [300_000, 0.002]]."""

from __future__ import annotations


def tiers(value: object) -> object:
    """Tiers of commission: the first from 0 shares on, the next ones from more."""
    if not isinstance(value, list | tuple):
        raise ValueError("write a list of [shares, rate]")  # noqa: TRY004 - what pydantic takes for a refusal
    made = []
    for pair in value:
        if (
            not isinstance(pair, list | tuple)
            or len(pair) != 2
            or isinstance(pair[0], bool)
            or not isinstance(pair[0], int)
        ):
            raise ValueError("each is [shares, rate], with a whole number of shares")
        rate = pair[1]
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1e6:
            raise ValueError("a rate is a number >= 0, currency a share")
        if round(rate, 8) != rate:
            raise ValueError("a rate has at most 8 decimals")
        made.append((pair[0], float(rate)))
    starts = [start for start, _ in made]
    if starts and (starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] > 1 << 53):
        raise ValueError("the first is from 0 shares on, each next one from more")
    return tuple(made)
