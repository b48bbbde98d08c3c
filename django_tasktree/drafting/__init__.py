"""Trees that are composed by hand: rows of a form become a tree, and a run's nodes become rows again."""

from django_tasktree.drafting.build import build
from django_tasktree.drafting.read import MOST_NODES, read_rows
from django_tasktree.drafting.rows import InvalidDraft, NodeRow
from django_tasktree.drafting.save import save_draft

__all__ = ["MOST_NODES", "InvalidDraft", "NodeRow", "build", "read_rows", "save_draft"]
