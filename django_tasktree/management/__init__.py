"""The commands ``tasktree`` and ``run_tasktree``: their arguments, and their output as text or JSON."""
