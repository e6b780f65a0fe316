"""Research frames: the same columns a strategy is shown, without a strategy.

`bars` are bars and features, at once or lazily; `completeness` is the quality of every symbol and session; `asking` reads what users ask for.
"""

from bt.research.asking import Bars
from bt.research.bars import load_bars
from bt.research.completeness import Quality, load_quality

__all__ = ["Bars", "Quality", "load_bars", "load_quality"]
