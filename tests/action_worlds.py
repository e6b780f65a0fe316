"""Random corporate actions for random markets, as the oracle's and as the table that bt reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Any

import oracle as o
import polars as pl
from hypothesis import strategies as st
from worlds import World

RATIOS = tuple(Fraction(*r) for r in ((2, 1), (7, 1), (3, 2), (1, 2), (1, 8), (2, 3), (11, 10), (1, 100)))
AMOUNTS = tuple(Fraction(*a) for a in ((1, 100), (47, 100), (137, 10_000), (3, 1), (1, 8)))
KINDS = ("split", "split", "dividend", "rename", "delisting")
SCHEMA = {
    "symbol": pl.String, "session": pl.Date, "kind": pl.String, "ratio": pl.Float64, "amount": pl.Float64, "to": pl.String,
    "price": pl.Float64,
}  # fmt: skip


@st.composite
def actions_of(draw: st.DrawFn, world: World, *, kinds: Sequence[str] = KINDS, most: int = 5) -> list[o.Action]:
    """Up to `most` actions on a world's symbols, from before its first session to after its last."""
    names = world.schedule.names
    days = [names[i] for i in range(max(world.first - 1, 0), min(world.last + 2, len(names)))]
    found: list[o.Action] = []
    taken: set[tuple[Any, ...]] = set()
    for _ in range(draw(st.integers(0, most))):
        kind, symbol = draw(st.sampled_from(kinds)), draw(st.sampled_from(world.symbols))
        day = draw(st.sampled_from(days))
        to = draw(st.sampled_from([s for s in world.symbols if s != symbol] or ["ZZZ"]))
        group = "end" if kind in ("rename", "delisting") else kind
        keys = {(symbol, day, group), *([("to", to, day)] if kind == "rename" else [])}
        if kind != "dividend" and keys & taken:
            continue
        taken |= keys
        shown = day - timedelta(days=draw(st.integers(0, 1))) if kind in ("split", "dividend") else day
        if kind == "split" and any(a.kind == kind and a.symbol == symbol and a.session == shown for a in found):
            continue
        found.append(
            o.Action(
                symbol, shown, kind,
                ratio=draw(st.sampled_from(RATIOS)) if kind == "split" else Fraction(1),
                amount=draw(st.sampled_from(AMOUNTS)) if kind == "dividend" else Fraction(0),
                to=to if kind == "rename" else "",
                price=draw(st.sampled_from((None, None, Fraction(0), Fraction(3, 2)))) if kind == "delisting" else None,
            )
        )  # fmt: skip
    return found


def table_of(actions: Sequence[o.Action]) -> pl.DataFrame:
    """The actions as `data.actions`."""

    def number(value: Fraction | None, *, given: bool) -> float | None:
        return float(value) if given and value is not None else None

    rows = [
        (
            a.symbol, a.session, a.kind, number(a.ratio, given=a.kind == "split"), number(a.amount, given=a.kind == "dividend"),
            a.to or None, number(a.price, given=a.kind == "delisting"),
        )
        for a in actions
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
