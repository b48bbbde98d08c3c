"""Drafts that people compose in a form: convert the rows of the form to a tree, and a run's nodes to rows."""

from django_tasktree.drafts.build import build
from django_tasktree.drafts.read import MAX_NODES, read_result, read_rows
from django_tasktree.drafts.rows import InvalidDraft, NodeRow
from django_tasktree.drafts.save import DraftChanged, save_draft

__all__ = ["MAX_NODES", "DraftChanged", "InvalidDraft", "NodeRow", "build", "read_result", "read_rows", "save_draft"]
