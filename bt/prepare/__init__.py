"""From the store to sessions ready to be replayed: the only room that collects frames.

Where to look:

1. `plan` gathers what the strategies declared, each column once;
2. `universe` decides who is a member in which session, from `daily` values of past sessions or a `listed` table, and so whose bars a
   window reads; `along` adds symbols that only features of others look at;
3. `window` loads some sessions with one query and puts them through the guards into canonical order;
4. `history` brings the trailing windows and the warm-up bars up to the open; `quantities` are one value a symbol and session, through
   the cache beside the store; `past` and `days` are what at_open may ask for, `liquidity` what the impact of fills is reckoned from;
5. `columns` holds the bars of one interval in feature order and joins them as-of; `computing` collects coarser bars and
   features of a window, after `checks`; `peeking` looks for features and signals that depend on later bars;
6. `actions` are corporate actions from a table, `instruments` what is traded, `given` reads either; `tables` are outside tables, joined as they were known; `assembly` makes quality frames and sessions ready to be replayed, and `decided`
   evaluates the signals of strategies in columns style over each, expressions symbol by symbol as `rowwise` says;
7. `preparer` does 3 to 6 window by window, the next one on another thread (`ahead`) while this one replays.
"""

from bt.prepare.actions import Actions, OpenedActions, former_names, given_actions, open_actions, read_actions
from bt.prepare.along import reading_along
from bt.prepare.assembly import PreparedWindow
from bt.prepare.instruments import OpenedInstruments, open_instruments
from bt.prepare.liquidity import Liquidity
from bt.prepare.listed import content as members_content
from bt.prepare.past import Past, PastBars
from bt.prepare.plan import Plan, indicator_features, plan
from bt.prepare.preparer import Preparer, Reading
from bt.prepare.tables import OpenedTable, open_outside
from bt.prepare.window import Loader

__all__ = [
    "Actions",
    "Liquidity",
    "Loader",
    "OpenedActions",
    "OpenedInstruments",
    "OpenedTable",
    "Past",
    "PastBars",
    "Plan",
    "PreparedWindow",
    "Preparer",
    "Reading",
    "former_names",
    "given_actions",
    "indicator_features",
    "members_content",
    "open_actions",
    "open_instruments",
    "open_outside",
    "plan",
    "read_actions",
    "reading_along",
]
