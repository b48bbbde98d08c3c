"""The actions on runs and nodes: pause, resume, retry, rerun, complete, add nodes; and previews of their effects.

Revoke is in :mod:`django_tasktree.engine.lifecycle.stop`, because a failure can stop a run or subtree too; delete is in
:mod:`django_tasktree.engine.deletion`.
"""
