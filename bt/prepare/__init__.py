"""From the store to sessions ready to be replayed: the only room that collects frames.

Where to look:

1. `plan` gathers what the strategies declared, each column once;
2. `window` loads some sessions with one query and puts them through the guards into canonical order;
3. `history` brings the trailing windows and the warm-up bars up to the open;
4. `columns` holds the bars of one interval in feature order and joins them as-of; `computing` collects coarser bars and
   features of a window, after `checks`;
5. `tables` are outside tables, joined as they were known; `assembly` makes quality frames and sessions ready to be replayed;
6. `preparer` does 2 to 5 window by window, the next one on another thread while this one replays.
"""

from bt.prepare.plan import Plan, indicator_features, plan
from bt.prepare.preparer import PreparedWindow, Preparer
from bt.prepare.tables import OpenedTable, open_outside

__all__ = ["OpenedTable", "Plan", "PreparedWindow", "Preparer", "indicator_features", "open_outside", "plan"]
