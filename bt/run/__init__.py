"""A run from its specification to its results.

`result` is the `Run` object, `replaying` makes one, `dates` resolves its dates, `interrupt` minds Ctrl-C.
"""

from bt.run.dates import check_dates, resolved
from bt.run.replaying import Range, run_spec, session_range
from bt.run.result import Run, summary_lines

__all__ = ["Range", "Run", "check_dates", "resolved", "run_spec", "session_range", "summary_lines"]
