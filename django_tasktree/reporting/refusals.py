"""Translate the texts of refused actions for pages, with the names of runs and nodes instead of their IDs."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils.text import capfirst
from django.utils.translation import gettext

from django_tasktree.exceptions import NotPossible, TaskTreeError
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.node_paths import titles_of
from django_tasktree.reporting.numbers import number_text
from django_tasktree.reporting.titles import run_title
from django_tasktree.states import NodeState, RunState

_STATES: dict[str, Any] = {state.value: state.label for states in (NodeState, RunState) for state in states}


def refusal_text(error: TaskTreeError, known: Mapping[UUID, str] | None = None) -> str:
    """Return the translated text of a refused action.

    Args:
        error: the exception; only a :class:`NotPossible` with parts is translated.
        known: ID -> title, for runs and nodes that are known to the caller; others are looked up.
    """
    if not isinstance(error, NotPossible) or not error.parts:
        return str(error)
    parts = {name: _shown(name, value, known or {}) for name, value in error.parts.items()}
    return str(capfirst(gettext(error.text) % parts))


def _shown(name: str, value: Any, known: Mapping[UUID, str]) -> str:
    if isinstance(value, UUID):
        title = known.get(value) or _title(name, value)
        return f"“{title}”"
    if name == "state":
        return str(_STATES.get(value, value))
    return number_text(value) if isinstance(value, int) else str(value)


def _title(name: str, key: UUID) -> str:
    if name == "run":
        run = TreeRun.objects.filter(pk=key).first()
        return run_title(run) if run else str(key)
    return titles_of(NodeRun.objects.filter(pk=key).only("label", "task")).get(key, str(key))
