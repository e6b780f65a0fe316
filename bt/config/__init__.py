"""A configuration becomes a `bt.model.RunSpec`: TOML file, environment and flags, checked key by key.

Precedence is flags and ``--set`` > ``BT_`` variables > file > default. ``BT_SESSION__START`` is ``session.start``: two
underscores for a dot, lower case (a key with capitals is reachable by ``--set`` only). Every ``BT_`` variable must name
a key, ``BT_CACHE`` apart. Tables merge, every other value replaces. One entry of ``[[strategies]]`` is reached by its
position or name: ``strategies.0.params.fast``, ``strategies.slow.params.fast``.

Relative paths (data.bars, a data.symbols file, a data.calendar file, universe.table, the strategy's file, output.dir) and the default of
output.dir are relative to the configuration file's folder; those given by a flag, ``--set`` or the environment are
relative to the working directory.

The rooms: `tables` says what each key must be, `days` how sessions are asked for, `problems` words what is wrong,
`loading` reads and merges, `keywords` takes what `bt.replay` is given, `identity` tells a RunSpec in JSON and hashes it.
"""

from __future__ import annotations

from bt.config.changing import changed, is_single
from bt.config.days import FIRST, LAST, first_day, last_day, sessions_back
from bt.config.grids import forward_days, grid
from bt.config.identity import (
    ACTIONS_TABLE,
    INSTRUMENTS_TABLE,
    UNIVERSE_TABLE,
    WITHOUT_EFFECT,
    Identity,
    spec_hash,
    to_dict,
)
from bt.config.keywords import asked
from bt.config.loading import data_spec, from_mapping, load, parse_set, parse_value

__all__ = [
    "ACTIONS_TABLE", "FIRST", "INSTRUMENTS_TABLE", "LAST", "UNIVERSE_TABLE", "WITHOUT_EFFECT", "Identity", "asked", "changed", "data_spec", "first_day", "forward_days", "from_mapping", "grid", "is_single", "last_day", "load", "parse_set", "parse_value",
    "sessions_back", "spec_hash", "to_dict",
]  # fmt: skip
