"""Features: columns over bars, declared with how much warm-up they need.

Where to look:

1. `declared` is the value a strategy declares, `Feature`;
2. the vocabulary makes them: `bars` (any expression), `windowed`, `recursive`, `intraday`, `past`, `across`, `scoring`; `linking` finds the
   features that others name;
3. `expressions` reads arithmetic written as text;
4. `ordered` is bars in *feature order*, sorted by symbol, then time, with each symbol's warm-up bars first; `kernels` and
   `today` evaluate over whole columns of it, exactly where exactness exists; `recursions` steps through
   each symbol's session behind its warm-up, and `pieces` evaluates any other expression so: no float state crosses a session.
"""

from bt.features.across import cross_demean, cross_rank, cross_zscore, of
from bt.features.bars import feature
from bt.features.declared import AGGREGATES, Feature
from bt.features.expressions import bar_expression, is_wrapped
from bt.features.intraday import opening_range, so_far, vwap
from bt.features.kernels import Kernels
from bt.features.linking import OVER_BARS, linked
from bt.features.ordered import Ordered, Place, Rows, Runs, borders, ranges
from bt.features.past import prior, relative_volume, trailing
from bt.features.pieces import Pieces, column, edges, lazily, pieces, warm_up_of
from bt.features.recursions import recursion
from bt.features.recursive import atr, ema, rsi
from bt.features.scoring import score
from bt.features.today import Today
from bt.features.windowed import highest, lag, lowest, ret, sma, std, sum, zscore

__all__ = [
    "AGGREGATES",
    "OVER_BARS",
    "Feature",
    "Kernels",
    "Ordered",
    "Pieces",
    "Place",
    "Rows",
    "Runs",
    "Today",
    "atr",
    "bar_expression",
    "borders",
    "column",
    "cross_demean",
    "cross_rank",
    "cross_zscore",
    "edges",
    "ema",
    "feature",
    "highest",
    "is_wrapped",
    "lag",
    "lazily",
    "linked",
    "lowest",
    "of",
    "opening_range",
    "pieces",
    "prior",
    "ranges",
    "recursion",
    "relative_volume",
    "ret",
    "rsi",
    "score",
    "sma",
    "so_far",
    "std",
    "sum",
    "trailing",
    "vwap",
    "warm_up_of",
    "zscore",
]
