"""The only writers of states: launch, claim, finish, settle and what repeats them. No Celery here.

Each verb is safe to repeat: a move is a guarded UPDATE, and its row count says who won. Verbs return the nodes whose
messages their caller is to publish after commit.
"""
