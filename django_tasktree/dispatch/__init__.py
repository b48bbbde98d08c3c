"""Hand nodes over to Celery, from any process: launches, messages, what follows a commit, and eager execution."""
