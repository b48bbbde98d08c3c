"""The subcommands of ``manage.py tasktree``: one module for each, and one for all actions."""
