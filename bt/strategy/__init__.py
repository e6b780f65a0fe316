"""What a strategy is: a plain class with a row type, features and callbacks.

1. `interface` is what users write against: `Row`, `Book`, `Rows`;
2. `loading` makes an instance of where the class is and its parameters, with `neighbours`, the modules beside its file;
3. `timers` are methods called by the exchange's clock;
4. `sources` (with `interactive` for notebooks) is a strategy's code and the local modules it imports, `bindings` what it `reads` beside
   what its text has as `statements`, `values` its parameters, each with what it is known by;
5. `carrying` takes a strategy to another process, and checks that its state could go;
6. `outside` are fields that show outside tables;
7. `fields` reads row types, and what else reads columns by name; `signals` are the expressions of the columns style;
8. `declaring` reads what the instance asks for, refusing what cannot be had before anything is replayed.
"""

from bt.strategy.bindings import told
from bt.strategy.carrying import check_state, dumps, pack, unpack
from bt.strategy.declaring import (
    CALLBACKS,
    Declaration,
    checked_features,
    declare,
    universe_of,
)
from bt.strategy.fields import COARSE_ONLY, CODE, CONSTANTS, RowField, RowType, read_row
from bt.strategy.independence import looks_across
from bt.strategy.interface import Book, Holding, Past, PastBars, Row, Rows, SessionDay, Strategy, hours
from bt.strategy.labels import ForwardReturn, forward_return
from bt.strategy.loading import arguments, build, load_class, meant, nearest
from bt.strategy.outside import TableColumns
from bt.strategy.reach import Reach
from bt.strategy.signals import BOOLEANS, LEGS, Signals
from bt.strategy.sources import Source, files_hash, remember, source_of
from bt.strategy.timers import Timer, at, check_timers, ends_a_minute, every, slots_ended
from bt.strategy.values import attributes, qualified

__all__ = [
    "BOOLEANS",
    "CALLBACKS",
    "COARSE_ONLY",
    "CODE",
    "CONSTANTS",
    "LEGS",
    "Book",
    "Declaration",
    "ForwardReturn",
    "Holding",
    "Past",
    "PastBars",
    "Reach",
    "Row",
    "RowField",
    "RowType",
    "Rows",
    "SessionDay",
    "Signals",
    "Source",
    "Strategy",
    "TableColumns",
    "Timer",
    "arguments",
    "at",
    "attributes",
    "build",
    "check_state",
    "check_timers",
    "checked_features",
    "declare",
    "dumps",
    "ends_a_minute",
    "every",
    "files_hash",
    "forward_return",
    "hours",
    "load_class",
    "looks_across",
    "meant",
    "nearest",
    "pack",
    "qualified",
    "read_row",
    "remember",
    "slots_ended",
    "source_of",
    "told",
    "universe_of",
    "unpack",
]
