"""Benchmarks; among others, the same trees on this engine and as Celery canvases: ``python -m benchmarks``."""
