"""What is wrong with a configuration, said with file, line, key, value and hint."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import NoReturn

from pydantic import ValidationError

from bt.config.tables import KEYS, Parts
from bt.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Origin:
    """Where each value came from, to say so in an error."""

    source: str
    text: str
    given: dict[Parts, str]  # keys set by environment or flags, with the name of that source

    def where(self, parts: Parts) -> str:
        """The source of a key: a file with its line, a variable's name, the command line."""
        for n in range(len(parts), 0, -1):
            for key, label in self.given.items():
                if key == parts[:n] or (n == len(parts) and key[:n] == parts):
                    return label
        line = line_of(self.text, parts)
        return f"{self.source}:{line}" if line else self.source

    def problem(self, parts: Parts, must: str, was: object, hint: str = "") -> str:
        """One sentence in the house's form."""
        shown = was if isinstance(was, Words) else repr(was)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return f"{self.where(parts)}: {'.'.join(parts)} must be {must}, was {shown}" + (f"; {hint}" if hint else "")

    def fail(self, parts: Parts, must: str, was: object, hint: str = "") -> NoReturn:
        """Raise `problem` as a ConfigError."""
        raise ConfigError(self.problem(parts, must, was, hint))


class Words(str):
    """Text of ours in an error, shown without quotes."""

    __slots__ = ()


def line_of(text: str, parts: Parts) -> int:
    """The line of a key in TOML text, or of the deepest table around it; 0 if none."""
    table: Parts = ()
    seen: dict[str, int] = {}
    best = (0, 0)  # how many parts of the key, and where
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.\- ]+?)\s*\]", line):
            table = tuple(header[2].split("."))
            if header[1] == "[[":
                seen[header[2]] = seen.get(header[2], -1) + 1
                table = (*table, str(seen[header[2]]))
            elif table[0] in seen:
                table = (table[0], str(seen[table[0]]), *table[1:])
            key = table
        elif found := re.match(r"\s*([\w.\-]+)\s*=", line):
            key = (*table, *found[1].split("."))
        else:
            continue
        if parts in (key, key[:-1]) and header:
            return number
        if parts[: len(key)] == key and len(key) > best[0]:
            best = (len(key), number)
    return best[1]


def pattern(parts: Parts) -> Parts:
    """A key as KEYS has it, ``*`` for the name of an indicator, of an outside table or of one of [[strategies]]."""
    many = parts[:1] in (("strategies",), ("indicators",), ("tables",)) and len(parts) > 1
    return (parts[0], "*", *parts[2:]) if many else parts


def nearest(parts: Parts) -> str:
    """A hint: the known key nearest to an unknown one."""
    above = pattern(parts)[:-1]
    here = {key[-1]: key for key in KEYS if key[:-1] == above and key[-1] != "*"}
    if near := difflib.get_close_matches(parts[-1], here, 1):
        return f"did you mean {'.'.join((*parts[:-1], near[0]))}?"
    anywhere = {key[-1]: key for key in reversed(KEYS) if key[-1] != "*"}
    if near := difflib.get_close_matches(parts[-1], anywhere, 1, 0.75):
        return f"did you mean {'.'.join(anywhere[near[0]]).replace('*', 'NAME')}?"
    dotted = {".".join(key).replace("*", "NAME"): key for key in KEYS if key != pattern(parts)[: len(key)]}
    near = difflib.get_close_matches(".".join(parts), dotted, 1, 0.4)
    table = f"[{'.'.join(parts[:-1])}]" if len(parts) > 1 else "the top level"
    return f"nearest is {near[0]}" if near else f"keys of {table}: {', '.join(here)}"


def problems(error: ValidationError, origin: Origin) -> str:
    """All that pydantic found, one line each."""
    lines: dict[str, None] = {}  # an alternative type repeats a problem: keep one
    for item in error.errors(include_url=False):
        parts = tuple(str(p) for p in item["loc"])
        if item["type"] == "extra_forbidden":
            lines[origin.problem(parts, "a known key", Words("an unknown one"), nearest(parts))] = None
            continue
        known = pattern(parts)
        while known not in KEYS:
            known, parts = known[:-1], parts[:-1]
        if item["type"] == "missing":
            lines[origin.problem(parts, KEYS[known], Words("absent"), "it has no default")] = None
            continue
        custom = item.get("ctx", {}).get("error")
        hint = str(custom) if custom else 'write it in quotes: "..."' if item["type"] == "string_type" else ""
        if known == ("strategies", "*"):
            hint = "its keys are use, name, params, cash and files; in Python use may be a class or an instance"
        lines[origin.problem(parts, KEYS[known], item["input"], hint)] = None
    return "\n".join(lines)
