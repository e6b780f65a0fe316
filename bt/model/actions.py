"""What a company does to its shares."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

ActionKind = Literal["rename", "split", "dividend", "delisting"]
ACTION_KINDS: tuple[ActionKind, ...] = ("rename", "split", "dividend", "delisting")
"""In the order in which those of one session are applied."""


@dataclass(frozen=True, slots=True)
class Action:
    """A corporate action, applied at the open of session number `session` to the symbol `code`.

    Attributes
    ----------
    ratio : Fraction
        Of a split: new shares for an old one.
    amount : Fraction
        Of a dividend: currency a share, of the shares there are after the session's split.
    to : int
        Of a rename: the code of the new symbol.
    price : int or None
        Of a delisting: what a share gets, units; None is the last close.
    """

    session: int
    code: int
    kind: ActionKind
    ratio: Fraction = Fraction(1)
    amount: Fraction = Fraction(0)
    to: int = -1
    price: int | None = None
