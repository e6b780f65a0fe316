"""The words of ``where``: ``fast < slow and execution.slippage_bps > 0``, read without running anything."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from bt.errors import ConfigError
from bt.strategy import nearest

Value = Callable[[Mapping[str, Any]], Any]
"""What a piece of text is, of the parameters by name."""

_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_WORDS = "parameters, numbers, texts in quotes, + - * /, comparisons, and, or, not"


def condition(text: str, known: Mapping[str, Any], source: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether parameters meet `text`; `known` has the names that it may use, `source` begins errors.

    Raises
    ------
    ConfigError
        It cannot be read, compares nothing, or names something unknown.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ConfigError(
            f'{source}: it must be a condition such as "fast < slow", was {text!r}; character {error.offset or 1}: '
            f"it is made of {_WORDS}"
        ) from None
    return _Reader(text.strip(), known, source).condition(tree)


class _Reader:
    """Reads one text."""

    def __init__(self, text: str, known: Mapping[str, Any], source: str) -> None:
        self._text, self._known, self._source = text, known, source

    def condition(self, node: ast.expr) -> Callable[[Mapping[str, Any]], bool]:
        """Something that is true or false."""
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(part) for part in node.values]
            every = all if isinstance(node.op, ast.And) else any
            return lambda given: every(part(given) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.condition(node.operand)
            return lambda given: not inner(given)
        if isinstance(node, ast.Compare) and all(type(o) in _COMPARISONS for o in node.ops):
            sides = [self._value(side) for side in (node.left, *node.comparators)]
            how = [_COMPARISONS[type(o)] for o in node.ops]
            return lambda given: _holds(how, [side(given) for side in sides])
        name = _dotted(node)
        if name and isinstance(self._known.get(name), bool):
            return lambda given: bool(given[name])
        raise self._refusal(node, "it is compared with nothing: write > < >= <= == or !=")

    def _value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool | int | float | str)):
            value = node.value
            return lambda _given: value
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            how, left, right = _ARITHMETIC[type(node.op)], self._value(node.left), self._value(node.right)
            return lambda given: how(left(given), right(given))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self._value(node.operand)
            return lambda given: -inner(given)
        name = _dotted(node)
        if not name:
            raise self._refusal(node, f"it is made of {_WORDS}")
        if name not in self._known:
            raise self._refusal(node, unknown(name, self._known))
        return lambda given: given[name]

    def _refusal(self, node: ast.expr, hint: str) -> ConfigError:
        piece = ast.get_source_segment(self._text, node) or self._text
        return ConfigError(
            f'{self._source}: it must be a condition such as "fast < slow", was {self._text!r}; character '
            f"{node.col_offset + 1}, at {piece!r}: {hint}"
        )


def unknown(name: str, known: Mapping[str, Any]) -> str:
    """A hint for a name that is none: the nearest, or all of them."""
    return nearest(name, known) or f"parameters are {', '.join(known) or 'none'}"


def _holds(how: list[Callable[[Any, Any], Any]], sides: list[Any]) -> bool:
    return all(bool(compare(a, b)) for compare, a, b in zip(how, sides, sides[1:], strict=False))


def _dotted(node: ast.expr) -> str:
    """The name that ``a`` or ``a.b`` is, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (above := _dotted(node.value)):
        return f"{above}.{node.attr}"
    return ""
