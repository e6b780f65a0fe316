"""What drives the sessions of a run: its agenda, from what it is made of."""

from __future__ import annotations

from bt.coordinator import Agenda, SessionCoordinator, SessionRecorder
from bt.engine import Engine
from bt.model import Progress
from bt.run.making import Made


def coordinated(
    parts: Made, engine: Engine, recorder: SessionRecorder, progress: Progress | None
) -> SessionCoordinator:
    """What drives the sessions of a run."""
    spec, span = parts.spec, parts.span
    agenda = Agenda(
        span.first, span.last - span.first + 1, span.complete,
        spec.execution.at_end, spec.run.on_data_error == "raise", parts.warm,
    )  # fmt: skip
    return SessionCoordinator(
        "backtest", labels_of(parts), source=parts.source, engine=engine, recorder=recorder, progress=progress, agenda=agenda
    )  # fmt: skip


def labels_of(parts: Made) -> list[str]:
    """The names of the intervals that a run generates."""
    return [parts.plan.labels.get(i, f"{i}m") for i in parts.plan.intervals]
