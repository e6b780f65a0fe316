"""The words of a universe: ``avg(close*volume, 10d)`` to rank by, ``prior(close) > 5 and ...`` to choose by.

Text is read once into an `Expression`: the trailing values it needs, and a function of them that works on every symbol at once.
What is not known (no data in the period, a division by zero) stays unknown; ``and`` and ``or`` are Kleene's.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from bt.errors import StrategyError
from bt.features import AGGREGATES, Feature, trailing
from bt.schema import BAR_COLUMNS

Kind = Literal["number", "condition"]
Masks = npt.NDArray[np.bool_]


class Known(NamedTuple):
    """A value a symbol, and where there is none."""

    values: npt.NDArray[Any]
    null: Masks


Found = Mapping[tuple[Any, ...], Known]
"""The trailing values of one moment, by the key of their feature."""


@dataclass(frozen=True)
class Expression:
    """An expression that was read: its text, the trailing values it is made of, and what makes it of them.

    `plain` is its text in one spelling: equal for equal expressions.
    """

    text: str
    plain: str
    terms: tuple[Feature, ...]
    value: Callable[[Found], Known]


_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
WRAPPERS = ("first", "last", "max", "min", "mean")
"""Functions that make one value of a session of an expression's values per minute; unwrapped ones are summed."""

_PERIOD = re.compile(r"(?<![\w.])([1-9]\d*(?:d|w|m|y))\b")
_LINE = re.compile(r"\s")
_CALLS = f"{'|'.join(AGGREGATES)}(expression, period) and prior(expression)"
_WORDS = f"numbers, {_CALLS}, + - * /, comparisons, and, or"
_INNER = (
    f"an expression inside is of {', '.join(BAR_COLUMNS)}, numbers and + - * /, wrapped or not in "
    f"{', '.join(f'{w}()' for w in WRAPPERS)}"
)


def expression(text: str, source: str, kind: Kind) -> Expression:
    """What `text` says; `source` begins the error.

    Raises
    ------
    StrategyError
        It cannot be read, or is no number (condition). The message names the text and the position.
    """
    return _Reader(text, source).read(kind)


class _Reader:
    """Reads one text. Periods such as 10d are no Python: they are read as texts, two characters longer."""

    def __init__(self, text: str, source: str) -> None:
        self._text, self._source = text, source
        line = _LINE.sub(" ", text)
        self._lead = len(line) - len(line.lstrip())
        self._line = _PERIOD.sub(r"'\1'", line.strip())
        self._terms: dict[tuple[Any, ...], Feature] = {}

    def read(self, kind: Kind) -> Expression:
        self._must = "a number a symbol to rank by" if kind == "number" else "a condition such as prior(close) > 5"
        if not self._line:
            raise StrategyError(f"{self._source}: it must be {self._must}, was empty")
        try:
            tree = ast.parse(self._line, mode="eval").body
        except SyntaxError as error:
            at = (error.offset or len(self._line) + 1) - 1  # offset 0: more was expected
            raise self._refusal(at, f"it is made of {_WORDS}") from None
        value = self._number(tree) if kind == "number" else self._condition(tree)
        return Expression(self._text, ast.unparse(tree), tuple(self._terms.values()), value)

    def _refusal(self, at: int, hint: str) -> StrategyError:
        """The error at character `at` (from 0) of the line."""
        shift = 2 * sum(m.end() <= at for m in re.finditer(r"'[1-9]\d*[dwmy]'", self._line))
        place = min(at - shift + self._lead, len(self._text))
        piece = self._text[place : place + 12].strip() or "the end"
        return StrategyError(
            f"{self._source}: it must be {self._must}, was {self._text!r}; character {place + 1}, at {piece!r}: {hint}"
        )

    def _at(self, node: ast.expr) -> int:
        return len(self._line.encode()[: node.col_offset].decode(errors="ignore"))

    # ------------------------------------------------------------------------------------------------------- the tree

    def _number(self, node: ast.expr) -> Callable[[Found], Known]:
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return _combined(_ARITHMETIC[type(node.op)], self._number(node.left), self._number(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return _negated(self._number(node.operand))
        if _is_number(node):
            return _constant(float(node.value))  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            return self._term(node)
        if isinstance(node, ast.Name) and node.id in BAR_COLUMNS:
            hint = f"a bar column stands inside prior({node.id}) or avg({node.id}, 10d)"
            raise self._refusal(self._at(node), hint)
        hint = "a condition is no number" if isinstance(node, ast.Compare | ast.BoolOp) else f"it is made of {_WORDS}"
        raise self._refusal(self._at(node), hint)

    def _condition(self, node: ast.expr) -> Callable[[Found], Known]:
        if isinstance(node, ast.BoolOp):
            parts = [self._condition(part) for part in node.values]
            return _joined(parts, every=isinstance(node.op, ast.And))
        if isinstance(node, ast.Compare) and all(type(o) in _COMPARISONS for o in node.ops):
            sides = [self._number(side) for side in (node.left, *node.comparators)]
            steps = zip(node.ops, sides, sides[1:], strict=False)
            return _joined([_combined(_COMPARISONS[type(o)], a, b) for o, a, b in steps], every=True)
        hint = "it is compared with nothing: write > < >= <= == or !="
        raise self._refusal(
            self._at(node), hint if isinstance(node, ast.Call | ast.BinOp) else f"it is made of {_WORDS}"
        )

    def _term(self, node: ast.Call) -> Callable[[Found], Known]:
        """One trailing value."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in (*AGGREGATES, "prior"):
            raise self._refusal(self._at(node), f"a function is one of {_CALLS}")
        count = 1 if name == "prior" else 2
        if len(node.args) != count or node.keywords:
            form = "prior(close)" if name == "prior" else f"{name}(close, 10d)"
            raise self._refusal(self._at(node), f"it is written {form}")
        period = "1d"
        if name != "prior":
            given = node.args[1]
            if not (isinstance(given, ast.Constant) and isinstance(given.value, str)):
                raise self._refusal(self._at(given), "a period is 10d (sessions), 2w, 3m (months) or 1y")
            period = given.value
        inner = node.args[0]
        self._check_inner(inner, wrapped=False)
        try:
            made = trailing("last" if name == "prior" else name, ast.unparse(inner), period)
        except StrategyError as error:
            raise self._refusal(self._at(inner), str(error)) from None
        self._terms.setdefault(made.key, made)
        key = made.key
        return lambda found: found[key]

    def _check_inner(self, node: ast.expr, *, wrapped: bool) -> None:
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            self._check_inner(node.left, wrapped=wrapped)
            self._check_inner(node.right, wrapped=wrapped)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            self._check_inner(node.operand, wrapped=wrapped)
        elif isinstance(node, ast.Call) and not wrapped and len(node.args) == 1 and not node.keywords:
            if not (isinstance(node.func, ast.Name) and node.func.id in WRAPPERS):
                raise self._refusal(self._at(node), _INNER)
            self._check_inner(node.args[0], wrapped=True)
        elif not _is_number(node) and not (isinstance(node, ast.Name) and node.id in BAR_COLUMNS):
            raise self._refusal(self._at(node), _INNER)


def _is_number(node: ast.expr) -> bool:
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return False
    return bool(np.isfinite(float(node.value)))


# -------------------------------------------------------------------------------------------------------- on all symbols


def _constant(number: float) -> Callable[[Found], Known]:
    return lambda _found: Known(np.array(number), np.array([False]))


def _negated(of: Callable[[Found], Known]) -> Callable[[Found], Known]:
    def value(found: Found) -> Known:
        values, null = of(found)
        return Known(-values, null)

    return value


def _combined(
    how: Callable[[Any, Any], Any], left: Callable[[Found], Known], right: Callable[[Found], Known]
) -> Callable[[Found], Known]:
    """Arithmetic or a comparison; a number that is not finite is not known."""

    def value(found: Found) -> Known:
        one, other = left(found), right(found)
        with np.errstate(all="ignore"):
            made = np.asarray(how(one.values, other.values))
        null = one.null | other.null
        if made.dtype.kind == "f":
            null = null | ~np.isfinite(made)
        return Known(made, null)

    return value


def _joined(parts: list[Callable[[Found], Known]], *, every: bool) -> Callable[[Found], Known]:
    """``and`` (`every`) or ``or`` of conditions: unknown unless what is known decides."""

    def value(found: Found) -> Known:
        decided, null = np.array([False]), np.array([False])
        for part in parts:
            values, unknown = part(found)
            decided = decided | (~unknown & (values != every))  # a False decides `and`, a True decides `or`
            null = null | unknown
        null = null & ~decided
        return Known(~decided & ~null if every else decided, null)

    return value
