"""The book: what a strategy trades with. The rules are docs/decisions/0002.

1. `book` is what the strategy sees and calls;
2. `account` checks what it orders against money and quality, and keeps the lives of orders;
3. `matching` fills them at a bar's open, and at the close;
4. `leavers` is what becomes of orders and positions in symbols that are no members of the universe;
5. `records` are what is left of it for the results.
"""

from bt.book.account import Account, Terms
from bt.book.book import StrategyBook
from bt.book.leavers import review
from bt.book.matching import Quotes, close_all, close_exits, match
from bt.book.purse import AccountPurse
from bt.book.recall import Recall
from bt.book.records import EVERY, FillRecord, Market, OrderRecord, Output, Spoken

__all__ = [
    "EVERY", "Account", "AccountPurse", "FillRecord", "Market", "OrderRecord", "Output", "Quotes",
    "Recall", "Spoken", "StrategyBook", "Terms", "close_all", "close_exits", "match",
    "review",
]  # fmt: skip
