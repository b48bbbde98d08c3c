"""Towards Celery, from any process: launches, messages, what follows a commit, eager execution. It knows no workers."""
