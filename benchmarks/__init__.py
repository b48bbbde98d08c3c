"""The same trees on this engine and on Celery's own canvas, side by side; run ``python -m benchmarks``."""
