"""The sweep: what crashes, lost messages and lost workers have left behind goes on.

Every worker makes passes, one worker at a time; ``manage.py tasktree sweep`` makes one by hand.
"""

from django_tasktree.sweeping.passes import sweep, sweep_if_due
from django_tasktree.sweeping.swept import Swept

__all__ = ["Swept", "sweep", "sweep_if_due"]
