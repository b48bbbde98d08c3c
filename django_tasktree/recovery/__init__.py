"""The sweep: repair what crashes, lost messages and lost workers have left unfinished.

Every worker makes passes, one worker at a time; ``manage.py tasktree sweep`` makes a single pass.
"""
