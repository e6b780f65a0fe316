"""How a run may be divided among workers. Results depend on it only through the account (docs/decisions/0014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bt.errors import UsageError
from bt.model import RunSpec
from bt.strategy import Declaration


@dataclass(frozen=True, slots=True)
class Shard:
    """What is played together: strategies by number, and of `parts` equal parts of the symbols the `part`-th.

    The cash of an independent strategy's symbols is that of the whole run, before it is divided.
    """

    strategies: tuple[int, ...]
    part: int = 0
    parts: int = 1


def shards(spec: RunSpec, declarations: Sequence[Declaration], workers: int) -> list[Shard]:
    """A run in as many shards as there are workers.

    Independent strategies are divided by symbols; of others each is played whole, with its own account.

    Raises
    ------
    UsageError
        There are more workers than the run can be divided among; the message says why.
    """
    everything = tuple(range(len(declarations)))
    if workers == 1:
        return [Shard(everything)]
    if spec.account.shared:
        raise UsageError(
            f"{spec.source}: engine.workers must be 1 with account.shared, was {workers}: strategies with one cash are played "
            "together; give them their own, or one worker"
        )
    whole = [i for i in everything if not declarations[i].independent]
    apart = tuple(i for i in everything if declarations[i].independent)
    if not apart and workers > len(whole):
        raise UsageError(
            f"{spec.source}: engine.workers must be at most {len(whole)}, one a strategy, was {workers}: "
            f"{why_whole(declarations[0])}; symbols are divided only of a strategy with `independent = True`"
        )
    groups = min(len(whole), workers - bool(apart))
    made = [Shard(tuple(whole[n::groups])) for n in range(groups)]
    parts = workers - groups
    return made + [Shard(apart, n, parts) for n in range(parts) if apart]


def why_whole(declared: Declaration) -> str:
    """Why a strategy's symbols must be played together."""
    if declared.across:
        return f"strategy {declared.name}: {declared.across}"
    return f"strategy {declared.name}: its symbols share one account"
