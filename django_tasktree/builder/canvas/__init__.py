"""Celery's canvas (chain, group, chord, chunks, map, starmap) as a tree."""

from django_tasktree.builder.canvas.importing import import_canvas

__all__ = ["import_canvas"]
