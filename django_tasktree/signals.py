"""Django signals of the life of runs and nodes, sent after commit.

What a receiver raises is logged and harms nothing.
"""

from django.dispatch import Signal

#: ``run_id``: the run has been launched. Sent before its first message, in the process that launched it.
run_started = Signal()
#: ``run_id``, ``state``: the run has its final state. Sent in the process that gave it.
run_finished = Signal()
#: ``run_id``, ``node_id``, ``state``: the node has ended. Sent in the process that wrote its outcome, once for each
#: attempt that counted; nodes that were skipped or revoked without one are not told of.
node_finished = Signal()
