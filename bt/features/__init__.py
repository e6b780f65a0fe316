"""Features: columns over bars, declared with how much warm-up they need.

Where to look:

1. `declared` is the value a strategy declares, `Feature`;
2. the vocabulary makes them: `bars` (any expression), `windowed`, `intraday`, `past`;
3. `expressions` reads arithmetic written as text;
4. `ordered` is bars in *feature order*, sorted by symbol, then time, with each symbol's warm-up bars first; `kernels` and
   `today` evaluate over whole columns of it, exactly where exactness exists; `pieces` evaluates any other
   expression apart for each symbol and session, so that no float state crosses a session.
"""

from bt.features.bars import feature
from bt.features.declared import AGGREGATES, Feature
from bt.features.expressions import bar_expression, built, is_wrapped, parsed
from bt.features.intraday import opening_range, so_far, vwap
from bt.features.kernels import Kernels
from bt.features.ordered import Ordered, Runs, ranges
from bt.features.past import prior, trailing
from bt.features.pieces import Pieces, column, pieces, warm_up_of
from bt.features.today import Today
from bt.features.windowed import highest, lag, lowest, ret, sma, std, sum, zscore

__all__ = [
    "AGGREGATES", "Feature", "Kernels", "Ordered", "Pieces", "Runs", "Today", "bar_expression", "built", "column", "feature",
    "highest", "is_wrapped", "lag", "lowest", "opening_range", "parsed", "pieces", "prior", "ranges", "ret", "sma", "so_far", "std",
    "sum", "trailing", "vwap", "warm_up_of", "zscore",
]  # fmt: skip
