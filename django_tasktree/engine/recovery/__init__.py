"""Find what crashes, lost messages and lost workers have left behind. Nodes, runs and messages have a module each.

:mod:`django_tasktree.recovery` repairs what is found.
"""
