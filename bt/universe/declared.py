"""A universe as it is declared, in a configuration or by a strategy, and the one that a run has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bt.errors import StrategyError
from bt.features import Feature
from bt.model import UniverseSpec
from bt.universe.expressions import Expression, expression

REBALANCE = ("1d", "1w", "1mo")
LEAVERS = ("hold", "exit")


def top(
    n: int,
    *,
    by: str,
    where: str = "",
    rebalance: Literal["1d", "1w", "1mo"] = "1d",
    leavers: Literal["hold", "exit"] = "hold",
) -> UniverseSpec:
    """A universe of the `n` symbols with the highest `by`, as of each open: ``universe = bt.top(100, by="avg(close*volume, 10d)")``.

    Parameters
    ----------
    by : str
        What they are ranked by, from earlier sessions: avg max min sum std first last(expression, period), prior(expression),
        numbers, + - * /. Ties go by symbol; a symbol without a value is no member.
    where : str
        A condition that members meet: comparisons of the same, ``and``, ``or``; unknown counts as not met.
    rebalance : {"1d", "1w", "1mo"}
        Decided at each session's open, or at that of the first session of the calendar week or month.
    leavers : {"hold", "exit"}
        What is held when it leaves: is shown on while it is held, or is sold at the next open. Neither can be added to.

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    made = UniverseSpec(top=n, by=by, where=where, rebalance=rebalance, leavers=leavers)
    rules(made, "bt.top")
    return made


def members(
    *,
    table: str = "",
    where: str = "",
    rebalance: Literal["1d", "1w", "1mo"] = "1d",
    leavers: Literal["hold", "exit"] = "hold",
) -> UniverseSpec:
    """A universe without a ranking: the symbols of a membership table, those that meet a condition, or both.

    Parameters
    ----------
    table : str
        A Parquet of from, to (dates; from included, to not, null while it lasts) and symbol; a relative path starts from the
        strategy's file.
    where, rebalance, leavers
        As in `top`.

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    made = UniverseSpec(where=where, table=table, rebalance=rebalance, leavers=leavers)
    rules(made, "bt.members")
    return made


@dataclass(frozen=True)
class Rules:
    """A universe whose expressions were read."""

    spec: UniverseSpec
    by: Expression | None
    where: Expression | None

    @property
    def terms(self) -> dict[str, Feature]:
        """Every trailing value that is needed, once, by a name."""
        found = {t.key: t for e in (self.by, self.where) if e is not None for t in e.terms}
        return {f"u{i}": t for i, t in enumerate(found.values())}


def rules(spec: UniverseSpec, source: str) -> Rules:
    """`spec` read, or refused; `source` begins the error, a key follows it.

    Raises
    ------
    StrategyError
        An argument cannot be used; it says which, and what it must be.
    """
    found = fault(spec)
    if found is not None:
        key, must, was, hint = found
        raise StrategyError(f"{source}: {key} must be {must}, was {was}; {hint}")
    by = expression(spec.by, f"{source}: by", "number") if spec.by else None
    where = expression(spec.where, f"{source}: where", "condition") if spec.where else None
    return Rules(spec, by, where)


def fault(spec: UniverseSpec) -> tuple[str, ...] | None:
    """What contradicts itself: (key, what it must be, what it was, what to do); None if nothing does."""
    count: object = spec.top
    number = isinstance(count, int) and not isinstance(count, bool) and count >= 1
    listing = "a table names its members; where may choose among them"
    rebalance, leavers = " or ".join(map(repr, REBALANCE)), " or ".join(map(repr, LEAVERS))
    checks = [
        (count is not None and not number, "top", "a whole number >= 1", repr(count), "leave it out to rank nothing"),
        (spec.rebalance not in REBALANCE, "rebalance", rebalance, repr(spec.rebalance), "1d decides at each open"),
        (spec.leavers not in LEAVERS, "leavers", leavers, repr(spec.leavers), "hold goes on showing what is held"),
        (number and not spec.by, "by", "there beside top", "absent", 'top ranks by it: by = "avg(close*volume, 10d)"'),
        (bool(spec.by) and not number, "top", "there beside by", "absent", "by ranks for top: top = 100"),
        (bool(spec.table) and number, "table", "absent beside top", repr(spec.table), listing),
        (
            not (number or spec.where or spec.table),
            "top", "there, or where or table", "absent", "leave the universe out for all candidates",
        ),
    ]  # fmt: skip
    return next((tuple(found) for wrong, *found in checks if wrong), None)


def agreed(given: UniverseSpec | None, declared: Sequence[tuple[str, UniverseSpec]]) -> UniverseSpec | None:
    """The one universe of a run: the configuration's and those of the strategies (by name) must be equal.

    Raises
    ------
    StrategyError
        Two differ.
    """
    every = [("[universe]", given)] if given is not None else []
    every += [(f"strategy {name}", spec) for name, spec in declared]
    for name, spec in every[1:]:
        if _plain(spec) != _plain(every[0][1]):
            raise StrategyError(
                f"{name}: universe must be that of {every[0][0]}, was {_told(spec)} beside {_told(every[0][1])}; "
                "a run has one universe: declare it once, or play the strategies in runs of their own"
            )
    return every[0][1] if every else None


def _plain(spec: UniverseSpec) -> UniverseSpec:
    """`spec` with its expressions in one spelling."""
    read = rules(spec, "universe")
    return replace(
        spec, by=read.by.plain if read.by else "", where=read.where.plain if read.where else "",
    )  # fmt: skip


def _told(spec: UniverseSpec) -> str:
    given = {k: getattr(spec, k) for k in ("top", "by", "where", "table", "rebalance", "leavers")}
    return ", ".join(f"{k}={v!r}" for k, v in given.items() if v not in (None, ""))


def located(spec: UniverseSpec, folder: Path) -> UniverseSpec:
    """`spec` with its table's path absolute: a relative one starts from `folder`."""
    if not spec.table:
        return spec
    return replace(spec, table=str(folder / Path(spec.table).expanduser()))
