"""Which symbols a session's universe has: how it is declared, and what its expressions mean.

`expressions` reads ``avg(close*volume, 10d)``; `declared` is what users write (`top`, `members`) and when it is refused. Membership itself
is found in `bt.prepare.universe`.
"""

from bt.universe.declared import Rules, agreed, fault, located, members, rules, top
from bt.universe.expressions import Expression, Known, expression

__all__ = ["Expression", "Known", "Rules", "agreed", "expression", "fault", "located", "members", "rules", "top"]
