"""A walk-forward's folds: sessions to choose by, some that nobody uses, then sessions to be judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from bt.errors import ConfigError
from bt.model import ForwardSpec


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold: first and last session of training and of the test, all included."""

    number: int
    train_start: date
    train_end: date
    test_start: date
    test_end: date


def folds(sessions: Sequence[date], forward: ForwardSpec, source: str = "walk_forward") -> list[Fold]:
    """The whole folds of some sessions, numbered from 0; sessions that are left over at the end are not used.

    Raises
    ------
    ConfigError
        Not one fold fits.
    """
    made: list[Fold] = []
    for number in range(len(sessions)):
        shift = number * forward.step
        trained = shift + forward.train
        test = trained + forward.embargo
        if test + forward.test > len(sessions):
            break
        first = 0 if forward.anchored else shift
        days = (first, trained - 1, test, test + forward.test - 1)
        made.append(Fold(number, *(sessions[day] for day in days)))
    if not made:
        needs = forward.train + forward.embargo + forward.test
        raise ConfigError(
            f"{source}: train, embargo and test must fit into the {len(sessions)} sessions of the data from "
            f"{sessions[0]} to {sessions[-1]}, were {needs} ({forward.train} + {forward.embargo} + {forward.test}); "
            "make them shorter, or start earlier"
        )
    return made
