"""The state machine of runs and nodes. Nothing else writes a state, and nothing here depends on Celery.

Each operation is safe to repeat: every transition is a guarded UPDATE, and its row count shows which process changed
the row. An operation returns the nodes whose messages its caller publishes after commit.
"""
