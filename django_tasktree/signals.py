"""Django signals about runs and nodes, sent after the commit.

An exception of a receiver is logged and has no other effect.
"""

from django.dispatch import Signal

#: A run was launched. Arguments: ``run_id``. Sent before its first message, in the process that launched it.
run_started = Signal()
#: A run has ended. Arguments: ``run_id`` and ``state``. Sent in the process that stored its final state.
run_finished = Signal()
#: A wait node has begun to wait for its event, or a reminder is due. Arguments: ``run_id``, ``node_id``, ``label``,
#: ``title`` (by default the label), ``description`` and ``reminder`` (0 at the beginning, then 1, 2, …). Sent after the
#: commit, in the process in which the node was reached; a reminder by the sweep, with the number of reminders that have
#: been due. It is not sent for a sleep, nor if the event had come before. After a crash, the sweep sends it, so in rare
#: cases it comes twice. If a receiver changes the run, nodes start when the receiver has returned.
node_waiting = Signal()
#: A node has ended. Arguments: ``run_id``, ``node_id``, ``label`` (None without one) and ``state``. Sent in the process
#: that stored its outcome, once for each attempt that finished the node. Not sent for nodes that are skipped or revoked
#: without an attempt.
node_finished = Signal()
