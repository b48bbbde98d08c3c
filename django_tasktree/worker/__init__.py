"""What touches Celery: the task class, the publisher, and what a worker does around a node's body."""
