"""A first start: what a run asks for later, compiled by another process while this one compiles what it asks for first."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from bt import jit
from bt.execution.closing import expire, live
from bt.execution.counting import count, exposed, fall
from bt.execution.ledger import finish_session
from bt.execution.matching import match
from bt.execution.signalling import play


def saying(say: Callable[[str], object]) -> AbstractContextManager[None]:
    """As `bt.jit.saying`. Whatever the style, orders meet prices, and sessions end; then comes what a session of signals is made of besides."""
    always = finish_session, expire, count, fall, exposed, live
    return jit.saying(say, lambda: jit.Ahead([match], always, [play]))
