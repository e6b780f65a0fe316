"""Whether engines agree: every one must have the reference's trades and profit to the cent, or differ as its named reason says.

The reference was computed with whole cents outside this project (tests/test_exact_ties.py holds bt to it too). There is no
tolerance: an engine that decides otherwise for a known reason has the figures that follow from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.peers.running import Outcome

Result = tuple[int, float]
"""Trades and net profit."""

REFERENCE: Mapping[str, Result] = {
    "S": (1_889, 11_524.00),
    "M": (37_346, 1_489.00),
    "L": (224_001, -66_492.00),
    "XL": (448_126, -395_488.00),
}


@dataclass(frozen=True)
class Reason:
    """Why an engine differs, and its trades and profit by size in consequence."""

    words: str
    expected: Mapping[str, Result]


REASONS = {
    "backtesting.py": Reason(
        "decides first at a symbol's 31st bar, the one after both means are there",
        {"S": (1_889, 11_520.00), "M": (37_346, 1_533.00), "L": (223_997, -66_247.00)},
    ),
}


@dataclass(frozen=True)
class Verdict:
    """What is said about an outcome: `agrees` is None where there is nothing to judge."""

    agrees: bool | None
    words: str


def verdict(
    outcome: Outcome, reference: Mapping[str, Result] = REFERENCE, reasons: Mapping[str, Reason] = REASONS
) -> Verdict:
    """Whether an engine has the figures that it must have."""
    if outcome.figures is None:
        return Verdict(None, outcome.why)
    found: Result = (outcome.figures.trades, outcome.figures.pnl)
    reason = reasons.get(outcome.engine)
    expected = reference[outcome.size] if reason is None else reason.expected[outcome.size]
    if same(found, expected):
        return Verdict(True, "equal" if reason is None else reason.words)
    return Verdict(False, f"DIFFERS: {told(expected)} expected")


def same(one: Result, other: Result) -> bool:
    """As many trades, and profit to the cent."""
    return one[0] == other[0] and round(100 * one[1]) == round(100 * other[1])


def told(result: Result) -> str:
    """Trades and profit in words."""
    return f"{result[0]:,} trades and {result[1]:,.2f}"


def refusal(outcomes: Sequence[Outcome]) -> str:
    """Why these may not be compared in speed: engines that differ or failed; nothing if they agree.

    One that was stopped, left out or cannot be installed says nothing about the others.
    """
    wrong = []
    for outcome in outcomes:
        judged = verdict(outcome)
        if outcome.figures is not None and judged.agrees is False:
            found = told((outcome.figures.trades, outcome.figures.pnl))
            wrong.append(f"  {outcome.engine}, size {outcome.size}: {found}, {judged.words}")
        elif outcome.state == "failed":
            wrong.append(f"  {outcome.engine}, size {outcome.size}: {outcome.why}")
    if not wrong:
        return ""
    return "peers: all engines must agree on trades and P&L before they are compared, these do not\n" + "\n".join(wrong)
