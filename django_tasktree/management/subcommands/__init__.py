"""What follows ``manage.py tasktree``, one module each."""
