"""Many parameter sets over one pass of the data.

`sets` makes them of a grid, `conditions` reads ``where``; `passes` says which are played together, `playing` plays them, `recording` counts what each
comes to; `sweeping` drives it all, `folder` keeps what is done, `identity` says what a sweep is known by, `result` is the `Sweep`, `plotting` its charts, `telling` what a report tells of one in a folder. `forward` is the walk-forward built on it, over
`folds`.
"""

from bt.sweeps.forward import WalkForward, walk_forward_spec
from bt.sweeps.playing import run_sets
from bt.sweeps.result import Deflated, Sweep
from bt.sweeps.sets import ParameterSet, expand
from bt.sweeps.sweeping import Asked, SweepInterrupted, sweep_spec
from bt.sweeps.telling import is_sweep, sweep_told

__all__ = [
    "Asked",
    "Deflated",
    "ParameterSet",
    "Sweep",
    "SweepInterrupted",
    "WalkForward",
    "expand",
    "is_sweep",
    "run_sets",
    "sweep_spec",
    "sweep_told",
    "walk_forward_spec",
]
