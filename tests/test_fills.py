"""docs/fills.md, cell by cell, and the rules of decision 0028 that need a table of candles of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import oracle as o
import pytest
from candles import JUDGES, Call, Case, cancel, exit_at_close, oracle_run, order, replace, summary, target

PAGE = Path(__file__).resolve().parents[1] / "docs" / "fills.md"

# ------------------------------------------------------------------------------------- one order in one situation

SITUATIONS = {
    "gap up": ("0 100 | 1 105 106 104.5 105 | -1 105 || 0 105", False),
    "gap down": ("0 100 | 1 95 95.5 94 95 | -1 95 || 0 95", False),
    "touch": ("0 100 | 1 100 102 98 100 | -1 100 || 0 100", False),
    "through": ("0 100 | 1 100 103 97 100 | -1 100 || 0 100", False),
    "halt": ("0 100 | 30 96 96.5 95 96 | -1 96 || 0 96", False),
    "no bar until the close": ("0 100 || 0 96", False),
    "half day": ("0 100 | 1 100 | -1 100 || 0 100", True),
}

HELD = ({"start": [order(10)]}, "market filled 10@100 in 0 | ")
ORDERS: dict[str, tuple[dict[int | str, list[Call]], str]] = {
    "market": ({0: [order(10)]}, ""),
    "limit 98": ({0: [order(10, limit=98)]}, ""),
    "stop 102": ({0: [order(10, stop=102)]}, ""),
    "stop 102, limit 103": ({0: [order(10, stop=102, limit=103)]}, ""),
    "trail 2": (HELD[0] | {0: [order(-10, trail=2)]}, HELD[1]),
    "at the open": ({0: [order(10, at="open")]}, ""),
    "at the close": ({0: [order(10, at="close")]}, ""),
    "target": ({0: [target(10)]}, ""),
    "exit_at_close": (HELD[0] | {0: [exit_at_close()]}, HELD[1]),
    "stop_loss 98": ({"start": [order(10, stop_loss=98)]}, HELD[1]),
    "take_profit 102": ({"start": [order(10, take_profit=102)]}, HELD[1]),
    "trailing_loss 2": ({"start": [order(10, trailing_loss=2)]}, HELD[1]),
}
"""What is given, and what became of the orders before the one that is shown: prices are for a decision at a close of 100."""

CAME_TO = {
    "market": (
        "market",
        "filled 10@105 in 1",
        "filled 10@95 in 1",
        "filled 10@100 in 1",
        "filled 10@100 in 1",
        "filled 10@96 in 30",
        "expired no_bar",
        "filled 10@100 in 1",
    ),
    "limit 98": (
        "limit",
        "expired unfilled",
        "filled 10@95 in 1",
        "expired unfilled",
        "filled 10@98 in 1",
        "filled 10@96 in 30",
        "expired no_bar",
        "expired unfilled",
    ),
    "stop 102": (
        "stop",
        "filled 10@105 in 1",
        "expired unfilled",
        "filled 10@102 in 1",
        "filled 10@102 in 1",
        "expired unfilled",
        "expired no_bar",
        "expired unfilled",
    ),
    "stop 102, limit 103": (
        "stop_limit",
        "expired unfilled",
        "expired unfilled",
        "filled 10@102 in 1",
        "filled 10@102 in 1",
        "expired unfilled",
        "expired no_bar",
        "expired unfilled",
    ),
    "trail 2": (
        "trailing_stop",
        "expired unfilled",
        "filled -10@95 in 1",
        "filled -10@98 in 1~",
        "filled -10@98 in 1~",
        "filled -10@96 in 30",
        "expired no_bar",
        "expired unfilled",
    ),
    "at the open": (
        "market_on_open",
        "filled 10@105 in 2/0",
        "filled 10@95 in 2/0",
        "filled 10@100 in 2/0",
        "filled 10@100 in 2/0",
        "filled 10@96 in 2/0",
        "filled 10@96 in 2/0",
        "filled 10@100 in 2/0",
    ),
    "at the close": (
        "market_on_close",
        "filled 10@105 in 390",
        "filled 10@95 in 390",
        "filled 10@100 in 390",
        "filled 10@100 in 390",
        "filled 10@96 in 390",
        "expired no_bar",
        "filled 10@100 in 210",
    ),
    "target": (
        "target",
        "filled 10@105 in 1",
        "filled 10@95 in 1",
        "filled 10@100 in 1",
        "filled 10@100 in 1",
        "filled 10@96 in 30",
        "expired no_bar",
        "filled 10@100 in 1",
    ),
    "exit_at_close": (
        "exit_at_close",
        "filled -10@105 in 390",
        "filled -10@95 in 390",
        "filled -10@100 in 390",
        "filled -10@100 in 390",
        "filled -10@96 in 390",
        "filled -10@100 in 390",
        "filled -10@100 in 210",
    ),
    "stop_loss 98": (
        "stop_loss",
        "open",
        "filled -10@95 in 1",
        "filled -10@98 in 1",
        "filled -10@98 in 1",
        "filled -10@96 in 30",
        "filled -10@96 in 2/0",
        "open",
    ),
    "take_profit 102": (
        "take_profit",
        "filled -10@105 in 1",
        "open",
        "open",
        "filled -10@102 in 1",
        "open",
        "open",
        "open",
    ),
    "trailing_loss 2": (
        "trailing_loss",
        "open",
        "filled -10@95 in 1",
        "filled -10@98 in 1~",
        "filled -10@98 in 1~",
        "filled -10@96 in 30",
        "filled -10@96 in 2/0",
        "open",
    ),
}
"""The type, and what became of it in each situation, in their order."""

SINGLE = [
    Case(
        f"{name}, {situation}", bars, given, f"{before}{kind} {came_to}", half=half, cells=((situation, name),), shown=1 + bool(before),
    )
    for name, (kind, *came) in CAME_TO.items()
    for given, before in [ORDERS[name]]
    for (situation, (bars, half)), came_to in zip(SITUATIONS.items(), came, strict=True)
]  # fmt: skip

SPLIT = ("split overnight", "0 100 || 0 50 51.5 48.5 50")
"""Two for one before the second session; orders are gtc."""

AFTER_A_SPLIT = {
    "market": "market filled 20@50 in 2/0",
    "limit 98": "limit filled 20@49 in 2/0",
    "stop 102": "stop filled 20@51 in 2/0",
    "stop 102, limit 103": "stop_limit filled 20@51 in 2/0",
    "trail 2": "trailing_stop filled -20@49 in 2/0~",
    "at the open": "market_on_open filled 20@50 in 2/0",
    "at the close": "market_on_close expired no_bar",
    "target": "target filled 20@50 in 2/0",
    "exit_at_close": "exit_at_close filled -10@100 in 390",
    "stop_loss 98": "stop_loss filled -20@49 in 2/0",
    "take_profit 102": "take_profit filled -20@51 in 2/0",
    "trailing_loss 2": "trailing_loss filled -20@49 in 2/0~",
}
SPLITS = [
    Case(
        f"{name}, {SPLIT[0]}", SPLIT[1], given, f"{before}{AFTER_A_SPLIT[name]}", settings={"time_in_force": "gtc"}, cells=((SPLIT[0], name),),
        shown=1 + bool(before), split=2,
    )
    for name, (given, before) in ORDERS.items()
]  # fmt: skip

# --------------------------------------------------------------------------------------------- both sides in one bar

WIDE = "0 100 | 1 100 103 97 100"
IN, OUT = "market filled 10@100 in 0 | ", "cancelled oco"
BOTH: dict[str, tuple[dict[int | str, list[Call]], str, str]] = {
    "market 10, stop_loss 98, take_profit 102": (
        {0: [order(10, stop_loss=98, take_profit=102)]},
        "market filled 10@100 in 1 | stop_loss filled -10@98 in 1~ | take_profit cancelled oco",
        "market filled 10@100 in 1 | stop_loss cancelled oco | take_profit filled -10@102 in 1~",
    ),
    "market -10, stop_loss 102, take_profit 98": (
        {0: [order(-10, stop_loss=102, take_profit=98)]},
        "market filled -10@100 in 1 | stop_loss filled 10@102 in 1~ | take_profit cancelled oco",
        "market filled -10@100 in 1 | stop_loss cancelled oco | take_profit filled 10@98 in 1~",
    ),
    "limit 99, stop_loss 98, take_profit 102": (
        {0: [order(10, limit=99, stop_loss=98, take_profit=102)]},
        "limit filled 10@99 in 1 | stop_loss filled -10@98 in 1 | take_profit cancelled oco",
        "limit filled 10@99 in 1 | stop_loss filled -10@98 in 1 | take_profit cancelled oco",
    ),
    "limit 98, take_profit 102": (
        {0: [order(10, limit=98, take_profit=102)]},
        "limit filled 10@98 in 1~ | take_profit open",
        "limit filled 10@98 in 1~ | take_profit filled -10@102 in 1~",
    ),
    "stop 101, stop_loss 99": (
        {0: [order(10, stop=101, stop_loss=99)]},
        "stop filled 10@101 in 1~ | stop_loss filled -10@99 in 1~",
        "stop filled 10@101 in 1~ | stop_loss open",
    ),
    "held 10: limit 102, stop 98 as oco": (
        {"start": [order(10)], 0: [order(-10, limit=102), order(-10, stop=98, oco=2)]},
        IN + "limit cancelled oco | stop filled -10@98 in 1~",
        IN + "limit filled -10@102 in 1~ | stop cancelled oco",
    ),
    "held 10: trail 2": (
        {"start": [order(10)], 0: [order(-10, trail=2)]},
        IN + "trailing_stop filled -10@98 in 1~",
        IN + "trailing_stop filled -10@101 in 1~",
    ),
    "stop 102, limit 101": (  # reached at 102, then a limit: low first the price only falls back to 100
        {0: [order(10, stop=102, limit=101)]},
        "stop_limit filled 10@101 in 1",
        "stop_limit filled 10@101 in 1",
    ),
}  # fmt: skip

BOTH_SIDES = [
    Case(f"{name}, {intrabar}", WIDE, given, expected, {"intrabar": intrabar}, cells=((name, intrabar),))
    for name, (given, *pair) in BOTH.items()
    for intrabar, expected in zip(("pessimistic", "optimistic"), pair, strict=True)
]

# --------------------------------------------------------------------------------------------------- other rules


def rule(name: str, bars: str, given: dict[int | str, list[Call]], expected: str, **more: object) -> Case:  # fmt: skip
    """A row of the table of rules."""
    settings = {k: v for k, v in more.items() if k not in ("cash", "leverage", "half")}
    rest = {k: v for k, v in more.items() if k in ("cash", "leverage", "half")}
    return Case(name, bars, given, expected, settings, cells=((name, "comes to"),), **rest)


FLAT = "0 100 | 1 100 | 2 100"
RULES = [
    rule('limit 98 at a low of 98, `limit_fill = "touch"`', "0 100 | 1 100 102 98 100", {0: [order(10, limit=98)]},
         "limit filled 10@98 in 1", limit_fill="touch"),
    rule('market, `fill = "next_close"`', "0 100 | 1 100 102 98 101", {0: [order(10)]}, "market filled 10@101 in 2", fill="next_close"),
    rule('limit 99, `fill = "next_close"`', "0 100 | 1 100 102 98 101", {0: [order(10, limit=99)]}, "limit filled 10@99 in 1", fill="next_close"),
    rule('limit 101, `fill = "same_close"`', "0 100 | 1 99", {0: [order(10, limit=101)]}, "limit filled 10@100 in 1", fill="same_close"),
    rule('stop 99, `fill = "same_close"`', "0 100 | 1 99", {0: [order(10, stop=99)]}, "stop filled 10@100 in 1", fill="same_close"),
    rule('limit 99, `fill = "same_close"`', "0 100 | 1 100 100 98 100", {0: [order(10, limit=99)]}, "limit filled 10@99 in 1", fill="same_close"),
    rule("stop 102 with 10 bp of slippage", "0 100 | 1 100 103 97 100", {0: [order(10, stop=102)]}, "stop filled 10@102.102 in 1", slippage_bps=10.0),
    rule("limit 98 with 10 bp of slippage", "0 100 | 1 100 103 97 100", {0: [order(10, limit=98)]}, "limit filled 10@98 in 1", slippage_bps=10.0),
    rule("limit 98, gtc, over the night", "0 100 | -1 100 || 3 99 99 97 98", {0: [order(10, limit=98, tif="gtc")]}, "limit filled 10@98 in 2/3"),
    rule("ioc, a bar in the next minute", FLAT, {0: [order(10, tif="ioc")]}, "market filled 10@100 in 1"),
    rule("ioc, none in the next minute", "0 100 | 2 100", {0: [order(10, tif="ioc")]}, "market cancelled ioc"),
    rule("ioc limit 98, reached after the open", "0 100 | 1 100 100 97 97 | 2 97", {0: [order(10, limit=98, tif="ioc")]}, "limit cancelled ioc"),
    rule("ioc limit 98, half of it has room", "0 100 | 1 97 97 97 97 x50 | 2 97", {0: [order(10, limit=98, tif="ioc")]},
         "limit cancelled ioc 5@97 in 1", participation=0.1),
    rule("market, `participation = 0.1`", "0 100 | 1 101 101 101 101 x50 | 2 102 | 3 103", {0: [order(10)]},
         "market filled 5@101 in 1, 5@102 in 2", participation=0.1),
    rule("stop 101, `participation = 0.1`", "0 100 | 1 100 102 100 102 x50 | 2 103", {0: [order(10, stop=101)]},
         "stop filled 5@101 in 1, 5@103 in 2", participation=0.1),
    rule("limit 99, `participation = 0.1`", "0 100 | 1 100 100 98 100 x50 | 2 100 | 3 100 100 98 98 x30", {0: [order(10, limit=99)]},
         "limit expired unfilled 5@99 in 1, 3@99 in 3", participation=0.1),
    rule('market, a bar without volume, `zero_volume = "skip"`', "0 100 | 1 101 101 101 101 x0 | 2 102", {0: [order(10)]},
         "market filled 10@102 in 2", zero_volume="skip"),
    rule("market, a bar without volume", "0 100 | 1 101 101 101 101 x0 | 2 102", {0: [order(10)]}, "market filled 10@101 in 1"),
    rule("market, a bar without volume, `participation = 0.1`", "0 100 | 1 101 101 101 101 x0 | 2 102", {0: [order(10)]},
         "market filled 10@102 in 2", participation=0.1),
    rule("stop_loss of a parent that is cancelled", FLAT, {0: [order(10, limit=90, stop_loss=80)], 1: [cancel(1)]},
         "limit cancelled cancelled | stop_loss cancelled parent"),
    rule("stop_loss when something else sells", FLAT, {"start": [order(10, stop_loss=90)], 0: [order(-10)]},
         "market filled 10@100 in 0 | stop_loss cancelled flat | market filled -10@100 in 1"),
    rule("stop_loss when a target changes", FLAT, {"start": [target(10, stop_loss=90)], 0: [target(10)], 1: [target(4)]},
         "target filled 10@100 in 0 | stop_loss cancelled retargeted | target filled -6@100 in 2"),
    rule("stop_loss when the same target is given again", FLAT, {"start": [target(10, stop_loss=90)], 0: [target(10)], 1: [target(10)]},
         "target filled 10@100 in 0 | stop_loss open"),
    rule("stop_loss of a target that adds", "0 100 | 1 100 | 2 100 100 89 89", {"start": [target(10, stop_loss=80)], 0: [target(15, stop_loss=90)]},
         "target filled 10@100 in 0 | stop_loss cancelled retargeted | target filled 5@100 in 1 | stop_loss filled -15@90 in 2"),
    rule("sell limit 101 of 10 when 4 are left", "0 100 | 1 100 | 2 102", {"start": [order(10)], 0: [order(-10, limit=101), order(-6)]},
         "market filled 10@100 in 0 | limit cancelled flat -4@102 in 2 | market filled -6@100 in 1"),
    rule("oco with an order that is over", FLAT, {0: [order(10)], 1: [order(10, limit=90, oco=1)]},
         "market filled 10@100 in 1 | limit rejected oco"),
    rule("limit 90, replaced by 99", "0 100 | 1 100 | 2 100 100 98 100", {0: [order(10, limit=90)], 1: [replace(1, limit=99)]},
         "limit cancelled replaced | limit filled 10@99 in 2"),
    rule("limit 90, replaced by more than there is money for", "0 100 | 1 100 | 2 100 100 89 90", {0: [order(10, limit=90)], 1: [replace(1, shares=1000)]},
         "limit filled 10@90 in 2 | limit rejected buying_power", cash=1000.0),
    rule("limit 90 with money for 95", "0 100 | 1 100", {0: [order(10, limit=90)]}, "limit expired unfilled", cash=950.0),
    rule("market with money for 95", "0 100 | 1 100", {0: [order(10)]}, "market rejected buying_power", cash=950.0),
    rule("stop reached at an open that gaps over its limit", "0 100 | 1 105 105 102.5 104", {0: [order(10, stop=102, limit=103)]}, "stop_limit filled 10@103 in 1"),
    rule("at the close, given when no bar follows", "0 100 || 0 100", {0: [order(10, at="close")]}, "market_on_close expired no_bar"),
    rule("at the close, given at the close", "0 100 | -1 100 || 0 101 | -1 102", {389: [order(10, at="close")]}, "market_on_close filled 10@102 in 2/390"),
    rule("at the close, with an exit_at_close", FLAT, {"start": [order(10)], 0: [order(5, at="close"), exit_at_close()]},
         "market filled 10@100 in 0 | market_on_close cancelled exit_at_close | exit_at_close filled -10@100 in 390"),
    rule("at the open, given in on_session_start", "0 100 | 1 100", {"start": [order(10, at="open")]}, "market_on_open filled 10@100 in 0"),
    rule("at the open, and the next session has no bar", "0 100 || B:0 50", {0: [order(10, at="open")]}, "market_on_open expired no_bar"),
    rule("gtc limit 98 at the end of the run", FLAT, {0: [order(10, limit=98, tif="gtc")]}, "limit open"),
]  # fmt: skip

# ------------------------------------------------------------------------------------------- what no cell is about

PART = {"participation": 0.1}
BOUGHT = "market filled 10@100 in 0 | "
FALLS = "0 100 | 1 100 | 2 100 100 94 94"
THIRDS = (
    " | ".join(f"{minute} 40" for minute in range(10)) + " | 10 33.333333333333336 40 33.333333333333336 40 | 11 40"
)
HOURS = " | ".join(f"{minute} 100" for minute in range(200))
MORE = [
    Case("a leg's first fill ends what is left of its parent", "0 100 | 1 100 100 100 100 x50 | 2 100 100 94 95 x50 | 3 95",
         {0: [order(20, stop_loss=96)]}, "market cancelled oco 5@100 in 1, 5@100 in 2 | stop_loss filled -10@95 in 3", PART),
    Case("legs wait again while their parent fills on", "0 100 | 1 100 100 100 100 x50 | 2 100 100 100 100 x50 | 3 100 | 4 100 100 89 89",
         {0: [order(20, stop_loss=90)], 1: [order(-5)]},
         "market filled 5@100 in 1, 15@100 in 3 | stop_loss filled -15@90 in 4 | market filled -5@100 in 2", PART),
    Case("a leg that has filled in part leaves the other one", "0 100 | 1 100 103 100 103 x50 | 2 100 100 90 90",
         {"start": [order(10, stop_loss=98, take_profit=102)]},
         BOUGHT + "stop_loss cancelled flat -5@98 in 2 | take_profit cancelled flat -5@102 in 1", PART),
    Case("legs are of what opens", FALLS, {"start": [order(-5)], 0: [order(15, stop_loss=95)]},
         "market filled -5@100 in 0 | market filled 15@100 in 1 | stop_loss filled -10@95 in 2"),
    Case("legs of what only closes", FALLS, {"start": [order(10)], 0: [order(-10, stop_loss=110)]},
         BOUGHT + "market filled -10@100 in 1 | stop_loss cancelled flat"),
    Case("legs of a parent at the close", "0 100 | -1 100 100 90 100 || 0 100 100 94 94", {0: [order(10, at="close", stop_loss=95)]},
         "market_on_close filled 10@100 in 390 | stop_loss filled -10@95 in 2/0"),
    Case("legs of a parent at a bar's close", "0 100 | 1 100 100 90 100 | 2 100 100 94 94", {0: [order(10, stop_loss=95)]},
         "market filled 10@100 in 2 | stop_loss filled -10@95 in 2", {"fill": "next_close"}),
    Case("legs of a parent at the last close", "0 100 100 90 100 | 2 100 100 94 94", {0: [order(10, stop_loss=95)]},
         "market filled 10@100 in 1 | stop_loss filled -10@95 in 2", {"fill": "same_close"}),
    Case("a stop_loss above the parent's fill", FALLS, {0: [order(10, stop_loss=101)]}, "market filled 10@100 in 1 | stop_loss filled -10@100 in 1"),
    Case("a take_profit below the parent's fill", FALLS, {0: [order(10, take_profit=99)]}, "market filled 10@100 in 1 | take_profit filled -10@100 in 1"),
    Case("a gap over a take_profit", "0 100 | 1 103", {"start": [order(10, stop_loss=98, take_profit=102)]},
         BOUGHT + "stop_loss cancelled oco | take_profit filled -10@103 in 1"),
    Case("legs of a parent that is refused", FALLS, {0: [order(1000, stop_loss=90)]}, "market rejected buying_power | stop_loss cancelled parent", cash=1000.0),
    Case("a trailing_loss begins at the price that was paid", "0 100 | 1 100 100 98.5 98.5", {"start": [order(10, trailing_loss=2)]},
         "market filled 10@101 in 0 | trailing_loss filled -10@98.01 in 1", {"slippage_bps": 100.0}),
    Case("a leg taken back in on_fill at the open", WIDE, {0: [order(10, stop_loss=98)], "fill 1": [cancel(2)]},
         "market filled 10@100 in 1 | stop_loss cancelled cancelled"),
    Case("what is ordered in on_fill waits for the next bar", "0 100 | 1 100 103 100 103 | 2 104", {0: [order(10)], "fill 1": [order(-10, limit=101)]},
         "market filled 10@100 in 1 | limit filled -10@104 in 2"),
    Case("the same from a fill within the bar", "0 100 | 1 100 103 97 100 | 2 100 103 97 100", {0: [order(10, limit=98)], "fill 1": [order(-10, limit=101)]},
         "limit filled 10@98 in 1 | limit filled -10@101 in 2"),
    Case("the second sale of what is held opens", "0 100 | 1 100 103 100 103", {"start": [order(10)], 0: [order(-10, limit=101), order(-10, limit=102)]},
         BOUGHT + "limit filled -10@101 in 1 | limit filled -10@102 in 1"),
    Case("the second sale in one group only reduces", "0 100 | 1 100 103 100 103",
         {"start": [order(10)], 0: [order(-10, limit=104), order(-10, limit=101, oco=2), order(-6)]},
         "market filled 10@100 in 0 | limit cancelled oco | limit cancelled flat -4@101 in 1 | market filled -6@100 in 1"),
    Case("a market sale does not count what waits for a price", FALLS, {"start": [order(10)], 0: [order(-10, stop=90), order(-10)]},
         BOUGHT + "stop cancelled flat | market filled -10@100 in 1", cash=1000.0),
    Case("the first part of an oco fill ends the others", "0 100 | 1 100 100 98 98 x50 | 2 98", {0: [order(10, limit=99), order(10, stop=101, oco=1)]},
         "limit filled 5@99 in 1, 5@98 in 2 | stop cancelled oco", PART),
    Case("oco with a standing exit", FALLS, {"start": [order(10)], 0: [exit_at_close(), order(-10, stop=90, oco=2)]},
         BOUGHT + "exit_at_close filled -10@94 in 390 | stop rejected oco"),
    Case("an order beyond what is held is cut and only reduces", "0 100 | 1 111", {"start": [order(10)], 0: [order(-30, limit=110)]},
         BOUGHT + "limit filled buying_power -10@111 in 1", cash=1000.0),
    Case("a trailing stop goes on from bar to bar", "0 100 | 1 101 | 2 104 | 3 102", {"start": [order(10)], 0: [order(-10, trail=2)]},
         BOUGHT + "trailing_stop filled -10@102 in 3"),
    Case("a trailing stop of a short", "0 100 | 1 99 | 2 96 | 3 98", {"start": [order(-10)], 0: [order(10, trail=2)]},
         "market filled -10@100 in 0 | trailing_stop filled 10@98 in 3"),
    Case("a trailing stop does not see a bar without volume", "0 100 | 1 110 110 110 110 x0 | 2 107", {"start": [order(10)], 0: [order(-10, trail=2)]},
         BOUGHT + "trailing_stop expired unfilled", {"zero_volume": "skip"}),
    Case("a replaced trailing stop keeps its best price", "0 100 | 1 105 | 2 105 105 103.5 103.5",
         {"start": [order(10)], 0: [order(-10, trail=3)], 1: [replace(2, trail=1)]},
         BOUGHT + "trailing_stop cancelled replaced | trailing_stop filled -10@104 in 2"),
    Case("replace is of what is left", "0 100 | 1 100 100 100 100 x50 | 2 98", {0: [order(20, limit=100)], 1: [replace(1, limit=99)]},
         "limit cancelled replaced 5@100 in 1 | limit filled 15@98 in 2", PART),
    Case("replace keeps the legs", "0 100 | 1 100 | 2 100 100 98 98 | 3 98 98 79 79", {0: [order(10, limit=90, stop_loss=80)], 1: [replace(1, limit=99)]},
         "limit cancelled replaced | stop_loss filled -10@80 in 3 | limit filled 10@99 in 2"),
    Case("a replaced leg stays in its bracket", "0 100 | 1 100 | 2 100 103 100 103", {"start": [order(10, stop_loss=90, take_profit=110)], 0: [replace(3, limit=102)]},
         BOUGHT + "stop_loss cancelled oco | take_profit cancelled replaced | take_profit filled -10@102 in 2"),
    Case("a stop-limit that was reached stays a limit", "0 100 | 1 105 105 104 104 | 2 104 104 101 101", {0: [order(10, stop=102, limit=103)]},
         "stop_limit filled 10@103 in 2"),
    Case("replacing its limit leaves it reached", "0 100 | 1 105 105 104 104 | 2 101", {0: [order(10, stop=102, limit=103)], 1: [replace(1, limit=102)]},
         "stop_limit cancelled replaced | stop_limit filled 10@101 in 2"),
    Case("replacing its stop does not", "0 100 | 1 105 105 104 104 | 2 101", {0: [order(10, stop=102, limit=103)], 1: [replace(1, stop=106)]},
         "stop_limit cancelled replaced | stop_limit expired unfilled"),
    Case("a target of the level held leaves legs alone", "0 100 | 1 100", {"start": [order(10, stop_loss=90)], 0: [order(5, limit=80)], 1: [target(10)]},
         BOUGHT + "stop_loss open | limit cancelled retargeted"),
    Case("a target that sells protects what it leaves", FALLS, {"start": [target(10)], 0: [target(4, stop_loss=95, take_profit=110)]},
         "target filled 10@100 in 0 | target filled -6@100 in 1 | stop_loss filled -4@95 in 2 | take_profit cancelled oco"),
    Case("a target of 0 has no legs", FALLS, {"start": [order(10)], 0: [target(0, stop_loss=90)]}, BOUGHT + "target filled -10@100 in 1"),
    Case("at the open, capped", "0 100 || 0 100 100 100 100 x50 | 1 101", {0: [order(10, at="open")]}, "market_on_open filled 5@100 in 2/0, 5@101 in 2/1", PART),
    Case("at the open, with fills at the close", "0 100 || 0 101 103 101 103", {0: [order(10, at="open")]}, "market_on_open filled 10@101 in 2/0", {"fill": "next_close"}),
    Case("at the close is not capped", "0 100 | 1 100 100 100 100 x1", {0: [order(10, at="close")]}, "market_on_close filled 10@100 in 390", PART),
    Case("at the close, given at the session's end", "0 100 || 0 101", {"end": [order(10, at="close")]}, "market_on_close filled 10@101 in 2/390"),
    Case("a day limit given at the session's end", "0 100 || 0 80", {"end": [order(10, limit=90)]}, "limit expired no_bar"),
    Case("an exit takes the last bar that has volume", "0 100 | 1 101 | 2 105 105 105 105 x0", {"start": [order(10)], 0: [exit_at_close()]},
         BOUGHT + "exit_at_close filled -10@101 in 390", {"zero_volume": "skip"}),
    Case("ioc with fills at the close", "0 100 | 1 100 101 100 101", {0: [order(10, tif="ioc")]}, "market filled 10@101 in 2", {"fill": "next_close"}),
    Case("an ioc limit that the last close does not satisfy", "0 100 | 1 98", {0: [order(10, limit=99, tif="ioc")]}, "limit filled 10@98 in 1", {"fill": "same_close"}),
    Case("an ioc limit that comes back within its minute", "0 100 | 1 100 100 98 98", {0: [order(10, limit=99, tif="ioc")]}, "limit cancelled ioc", {"fill": "same_close"}),
    Case("at one price what reduces comes first", "0 100 | 1 100 100 98 98", {"start": [order(10)], 0: [order(10, limit=99), order(-10, stop=99, oco=2)]},
         BOUGHT + "limit cancelled oco | stop filled -10@99 in 1"),
    Case("a take_profit at the price of its parent", "0 100 | 1 100 100 98 98", {0: [order(10, limit=99, take_profit=99)]},
         "limit filled 10@99 in 1 | take_profit filled -10@99 in 1"),
    Case("a stop-limit at one price needs no more than its stop", "0 100 | 1 100 102 100 100", {0: [order(10, stop=102, limit=102)]},
         "stop_limit filled 10@102 in 1"),
    Case("what has filled in part reserves what is left", "0 100 | 1 100 100 100 100 x50 | 2 100", {0: [order(10)], 1: [order(6), order(5)]},
         "market filled 5@100 in 1, 5@100 in 2 | market rejected buying_power | market filled 5@100 in 2", PART, cash=1500.0),
    Case("legs do not count when a sale is checked", FALLS, {"start": [order(10, stop_loss=95)], 0: [order(-10, limit=110)]},
         BOUGHT + "stop_loss filled -10@95 in 2 | limit cancelled flat"),
    Case("of a group the largest counts when a sale is checked", "0 100 | 1 100 | 2 106",
         {"start": [order(10)], 0: [order(-4, limit=110), order(-4, stop=90, oco=2), order(-6, limit=105), order(-6)]},
         BOUGHT + "limit cancelled flat | stop cancelled flat | limit cancelled flat -4@106 in 2 | market filled -6@100 in 1"),
    Case("what a target has filled is nothing that its group will take", "0 100 | 1 100 100 100 100 x100",
         {0: [target(30)], 1: [order(-10, limit=120, oco=1), order(-10, limit=110)]},
         "target expired unfilled 10@100 in 1 | limit expired no_bar | limit rejected buying_power", PART, cash=3000.0),
    Case("an order that was cut reduces what is left to reduce", "0 100 | 1 100 | 2 111", {"start": [order(10)], 0: [order(-30, limit=110), order(-6)]},
         BOUGHT + "limit cancelled flat -4@111 in 2 | market filled -6@100 in 1", cash=1000.0),
    Case("a leg does not fill at a close from before it was live", "0 100 | B:1 50 | 2 99", {0: [order(10, stop_loss=101)]},
         "market filled 10@100 in 1 | stop_loss filled -10@99 in 2", {"fill": "same_close"}),
    Case("ioc before the first bar, at the last close", "0 99 100 99 100", {"start": [order(10, tif="ioc")]}, "market filled 10@100 in 1", {"fill": "same_close"}),
    Case("at the open, given as the session starts, without a bar", "B:0 50 || 0 100", {"start": [order(10, at="open")]}, "market_on_open expired no_bar"),
    Case("a replaced order stays in its group", "0 100 | 1 100 | 2 100 103 100 103",
         {"start": [order(10)], 0: [order(-10, limit=105), order(-10, stop=95, oco=2)], 1: [replace(2, limit=102)]},
         BOUGHT + "limit cancelled replaced | stop cancelled oco | limit filled -10@102 in 2"),
    Case("a limit that a price is at once it is rounded to the unit", THIRDS, {0: [order(10, limit=33.33333333)]}, "limit filled 10@33.3333 in 10"),
    Case("a stop that a price is at once it is rounded to the unit", THIRDS, {"start": [order(10)], 0: [order(-10, stop=33.33333333)]},
         "market filled 10@40 in 0 | stop filled -10@33.3333 in 10"),
    Case("a limit that a price is at once it is rounded, at the last close", THIRDS, {0: [order(10, limit=33.33333333)]},
         "limit filled 10@33.3333 in 10", {"fill": "same_close"}),
    Case("a limit that is reached hours later", HOURS + " | 200 97", {0: [order(10, limit=98)]}, "limit filled 10@97 in 200"),
    Case("a stop that is reached hours later, beside what came after it", HOURS + " | 200 103", {0: [order(10, stop=102)], 5: [order(10, limit=90), order(10)]},
         "stop filled 10@103 in 200 | limit expired unfilled | market filled 10@100 in 6"),
    Case("the nearer of two stops, given first", HOURS + " | 200 96", {"start": [order(20)], 0: [order(-10, stop=97), order(-10, stop=90)]},
         "market filled 20@100 in 0 | stop filled -10@96 in 200 | stop expired unfilled"),
    Case("a new order beside one that waits for a far price", HOURS, {0: [order(10, limit=90)], 5: [order(10, limit=100)]},
         "limit expired unfilled | limit filled 10@100 in 6"),
    Case("the open of a short's stop", "0 100 | 1 104", {"start": [order(-10, stop_loss=102, take_profit=90)]},
         "market filled -10@100 in 0 | stop_loss filled 10@104 in 1 | take_profit cancelled oco"),
]  # fmt: skip

CASES = [*SINGLE, *SPLITS, *BOTH_SIDES, *RULES, *MORE]


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_table_of_candles(case: Case, judge: str):
    assert summary(case, JUDGES[judge](case)) == case.expected


@pytest.mark.parametrize(("intrabar", "earned", "more"), [("pessimistic", -20, 40), ("optimistic", 20, -40)])
def test_what_the_other_path_would_have_been_worth(intrabar: str, earned: int, more: int):
    """Sold at 98 or at 102 what was bought at 100."""
    result = oracle_run(Case("", WIDE, {0: [order(10, stop_loss=98, take_profit=102)]}, "", {"intrabar": intrabar}))
    assert [(r["symbol"], r["other_units"]) for r in result.ambiguous] == [("A", more * o.UNIT)]
    assert (result.net_pnl_units, result.net_pnl_other_units) == (earned * o.UNIT, (earned + more) * o.UNIT)
    assert result.ambiguous_trades == 1


# ------------------------------------------------------------------------------------------------------- the page


def cells_of_the_page() -> dict[tuple[str, str], str]:
    """Every cell of the page's tables: (first cell of the row, head of the column) and its text."""
    found: dict[tuple[str, str], str] = {}
    for table in re.findall(r"(?:^\|.*\n)+", PAGE.read_text(), flags=re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines()]
        for row in rows:
            for column, text in zip(head[1:], row[1:], strict=True):
                assert (row[0], column) not in found, f"{row[0]}, {column}: a cell is there twice"
                found[row[0], column] = text
    return found


def test_every_cell_of_the_page_has_a_case_that_says_the_same():
    cells = cells_of_the_page()
    told: dict[tuple[str, str], str] = {}
    for case in CASES:
        for cell in case.cells:
            assert cell not in told, f"{cell}: two cases answer it"
            told[cell] = case.told
        if case in RULES:
            told[case.name, "bars"] = case.shown_bars
    assert sorted(cells.keys() - told.keys()) == [], "cells without a case"
    assert sorted(told.keys() - cells.keys()) == [], "cases without a cell"
    assert cells == told


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"limit": 0.0}, "limit must be finite and above 0"),
        ({"limit": -1}, "limit must be finite and above 0"),
        ({"stop": float("nan")}, "stop must be finite and above 0"),
        ({"trail": float("inf")}, "trail must be finite and above 0"),
        ({"limit": 0.000000001}, "limit must be finite and above 0"),
        ({"stop_loss": 0}, "stop_loss must be finite and above 0"),
        ({"at": "noon"}, "at must be open or close"),
        ({"at": "open", "limit": 9.0}, "at must be without limit, stop, trail and tif"),
        ({"at": "close", "tif": "day"}, "at must be without limit, stop, trail and tif"),
        ({"trail": 1.0, "stop": 9.0}, "trail must be without limit and stop"),
        ({"tif": "ioc", "stop": 9.0}, "ioc must be of a market order or a limit"),
        ({"tif": "ioc", "trail": 9.0}, "ioc must be of a market order or a limit"),
        ({"tif": "fok"}, "tif must be day, gtc or ioc"),
        ({"stop_loss": 10.0, "take_profit": 10.0}, "stop_loss must be below take_profit"),
        ({"shares": -1, "stop_loss": 10.0, "take_profit": 11.0}, "stop_loss must be above take_profit"),
    ],
)
@pytest.mark.parametrize("judge", JUDGES)
def test_the_strategys_mistakes(judge: str, keywords: dict[str, Any], message: str):
    case = Case("", FLAT, {0: [order(**{"shares": 1} | keywords)]}, "")
    with pytest.raises(Exception, match=message):
        JUDGES[judge](case)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([order(1, limit=9.0), replace(1, stop=9.0)], "stop must be of an order that has one"),
        ([order(1), replace(1, limit=9.0)], "limit must be of an order that has one"),
        ([order(1, limit=9.0), replace(1, shares=-1)], "shares must keep their side"),
        ([order(1, stop_loss=9.0), replace(2, shares=-1)], "of a leg that waits be left alone"),
        ([target(1), replace(1, shares=2)], "replace must be of an order for shares"),
        ([exit_at_close(), replace(1, shares=2)], "replace must be of an order for shares"),
        ([target(-1, stop_loss=9.0, take_profit=11.0)], "stop_loss must be above take_profit"),
    ],
)
def test_the_strategys_mistakes_when_it_changes_its_mind(judge: str, given: list[Call], message: str):
    with pytest.raises(Exception, match=message):
        JUDGES[judge](Case("", FLAT, {0: given}, ""))


def test_names_of_cases_are_their_own():
    names = [case.name for case in CASES]
    assert sorted(names) == sorted(set(names))
