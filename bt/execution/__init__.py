"""The rules of execution, compiled: what an order needs, what it meets, what a fill does. The rules are docs/decisions/0002 and 0028.

1. `layout` is where everything is kept: columns of int64 arrays, so that every style plays by one set of rules; `tape` the bars of a session;
2. `giving` and `targets` are what a strategy may ask for, `checks` whether it may (by its buying `power`), `orders` an order's life; `shown` looks up what is known;
3. `matching` is where orders meet a price at a bar's open or close, `within` what fills between the two, `closing` what ends without a price;
4. `reach` says at which prices an order fills, `standing` what a fill sets off among the orders of its symbol, `filling` writes it down;
5. `signalling` plays a session of signals;
6. `ledger` books fills: cash, positions, trades, the session's curve; `counting` adds up what a session came to;
7. `money` is exact arithmetic, `costs` what is paid besides the price.

`bt.jit` makes machine code of it; `starting` says what a run asks for in which order.
"""

from bt.execution.costs import Costs
from bt.execution.money import INT64_MAX, divide_half_even, fits, portions, to_units, units
from bt.execution.signalling import Script
from bt.execution.starting import saying
from bt.execution.tape import Tape
from bt.jit import IntArray

__all__ = [
    "INT64_MAX", "Costs", "IntArray", "Script", "Tape", "divide_half_even", "fits", "portions", "saying", "to_units", "units",
]  # fmt: skip
