"""sweep: find what crashes, lost messages and lost workers have left behind. Each file finds one kind, in pages.

What is found is mended by the other verbs, by way of :mod:`django_tasktree.sweeping`.
"""
