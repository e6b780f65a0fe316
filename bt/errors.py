"""Every error bt raises on purpose, in one tree.

::

    BtError
    ├── UsageError            the request is wrong: config, flag, name, date            exit 2
    │   ├── ConfigError       an unknown or impossible configuration value
    │   ├── CalendarError     an unknown calendar, a date outside its bounds, no such session
    │   └── StrategyError     the strategy is not one: its class, row type, features or parameters
    │       └── NoSuchField   a field of a row type that nothing gives
    ├── DataError             a file fault: nothing was replayed                        exit 2
    │   └── ExpressionRaised  a feature, signal or model raised as it was evaluated
    ├── FeatureError          a feature peeks, or needs more than its declared lookback exit 2
    ├── ClockError            the clock was moved backwards or past the close (also a RuntimeError)
    ├── MoneyError            an amount does not fit int64 units of 1e-8 (also an OverflowError)
    ├── ResultsError          results could not be written: a full disk, no permission   exit 1
    ├── LockedError           another process is writing there                              exit 75
    ├── WorkerError           another process that worked for this one died or failed      exit 1
    └── StrategyRaised        the strategy's own code raised; the run is kept            exit 1

A message reads ``<source>: <thing> must be X, was Y; <hint>``.
"""

from __future__ import annotations

from typing import Any


class BtError(Exception):
    """Any error bt raises on purpose. ``exit_code`` is what the command line returns for it."""

    exit_code = 1
    run: Any = None  # what was replayed before it, where something was


class UsageError(BtError):
    """The request is wrong: a configuration value, a flag, a name, a date."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration key is unknown or its value impossible."""


class CalendarError(UsageError):
    """A calendar is unknown, a date lies outside its bounds, or a day is not a session."""


class StrategyError(UsageError):
    """A strategy cannot be used: its class, row type, features or parameters."""


class NoSuchField(StrategyError):
    """A row type has a field that nothing gives; `field` is its name."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class DataError(BtError):
    """A file fault: an unreadable file, a missing or retyped column, a naive time without a zone."""

    exit_code = 2


class ExpressionRaised(DataError):
    """A feature, a signal or a model raised as it was evaluated; the original exception is the cause."""


class FeatureError(BtError):
    """A feature reads the future or more bars than its declared lookback."""

    exit_code = 2


class ClockError(BtError, RuntimeError):
    """The clock was asked to go backwards, or past the session's close."""


class MoneyError(BtError, OverflowError):
    """An amount of money does not fit int64 units of 1e-8 of the currency."""


class ResultsError(BtError):
    """Results could not be written."""


class LockedError(BtError):
    """Another process is writing there; try again when it is done."""

    exit_code = 75


class WorkerError(BtError):
    """Another process that worked for this one died, or failed by a bug."""


class StrategyRaised(BtError):
    """A strategy's own code raised. The original exception is the cause; `run` is what was replayed until then."""
