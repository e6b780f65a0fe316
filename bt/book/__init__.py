"""The book: what a strategy trades with. The rules are docs/decisions/0002, their code is bt.execution.

1. `book` is what the strategy sees and calls;
2. `account` is the strategy's place at a desk, as the engine handles it; `waiting` keeps targets until the rules are asked;
3. `desk` keeps the arrays of accounts that share their money, and asks the compiled rules; `terms` are what they may do;
4. `market` is what everybody knows now;
5. `cash` is what moves without a trade, and what nights cost;
6. `acting` applies corporate actions to all of these;
7. `records` are what is left of a session for the results.
"""

from bt.book.account import Account
from bt.book.acting import act
from bt.book.book import MOST, StrategyBook
from bt.book.cash import Carry, CashMove
from bt.book.desk import Desk
from bt.book.levels import shares_worth
from bt.book.margin import meet_calls, tell_calls
from bt.book.market import Latest, Market
from bt.book.recall import Recall
from bt.book.records import Curve, Output, Spoken
from bt.book.terms import Terms

__all__ = [
    "MOST",
    "Account",
    "Carry",
    "CashMove",
    "Curve",
    "Desk",
    "Latest",
    "Market",
    "Output",
    "Recall",
    "Spoken",
    "StrategyBook",
    "Terms",
    "act",
    "meet_calls",
    "shares_worth",
    "tell_calls",
]
