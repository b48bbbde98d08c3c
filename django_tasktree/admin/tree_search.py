"""Nodes of a run by state and by text: of a task's name, an error, or an argument."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q

from django_tasktree.admin.tree_page import PAGE, place_in_tree
from django_tasktree.admin.tree_row import TreeRow, node_rows
from django_tasktree.identifiers import as_uuid
from django_tasktree.models import TreeRun
from django_tasktree.states import NODE_FINAL, NodeState
from django_tasktree.text import is_storable

#: What is chosen beside the single states.
NOT_REACHED = "UNREACHED"
_SEARCHED = ("task", "error_type", "error_message", "args", "kwargs")


@dataclass(frozen=True)
class TreeSearch:
    """What is looked for.

    Attributes:
        state: a state, or ``NOT_REACHED``; empty for any.
        text: a part of a task's name, an error's type or message, or an argument; or the whole ID of a node or task.
        parent_id: only nodes directly under this one.
        after: only nodes with higher keys: those of the pages before have lower ones.
    """

    state: str = ""
    text: str = ""
    parent_id: UUID | None = None
    after: UUID | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "TreeSearch":
        """Read it from an address; what has no meaning there is left out."""
        state = query.get("state", "")
        known = state in NodeState.values or state == NOT_REACHED
        return cls(
            state if known else "",
            query.get("q", "").strip(),
            as_uuid(query.get("parent", "")),
            as_uuid(query.get("after", "")),
        )

    def __bool__(self) -> bool:
        return bool(self.state or self.text)

    @property
    def address(self) -> str:
        """The query of an address that looks for the same."""
        names = {"state": self.state, "q": self.text, "parent": self.parent_id, "after": self.after}
        return urlencode({name: str(value) for name, value in names.items() if value})

    def condition(self, run: TreeRun) -> Q:
        """Give the condition on nodes of the run."""
        found = Q(run_id=run.id)
        if self.parent_id is not None:
            found &= Q(parent_id=self.parent_id)
        if self.after is not None:
            found &= Q(id__gt=self.after)
        return found & self._state(run) & self._text()

    def _state(self, run: TreeRun) -> Q:
        if not self.state:
            return Q()
        if self.state == NOT_REACHED:
            # It is a state of nodes only once the run has ended; before that, none was passed over.
            return Q(state=NodeState.PENDING) if run.is_over else Q(pk__in=[])
        return Q(state=self.state)

    def _text(self) -> Q:
        if not self.text:
            return Q()
        if not is_storable(self.text):
            return Q(pk__in=[])
        key = as_uuid(self.text)
        found = Q(id=key) | Q(task_id=key) if key is not None else Q()
        # Arguments are stored as JSON, in which quotes and letters beyond ASCII are written in another way.
        stored = json.dumps(self.text)[1:-1]
        for column in _SEARCHED:
            text = stored if column in ("args", "kwargs") else self.text
            found |= Q(**{f"{column}__icontains": text})
        return found


@dataclass(frozen=True)
class FoundPage:
    """A page of what was found, in the order in which the nodes were made.

    Attributes:
        rows: the rows of the table.
        next: looks for the page after; None where there is none.
    """

    rows: list["FoundRow"]
    next: TreeSearch | None


@dataclass(frozen=True)
class FoundRow(TreeRow):
    """A node that was found.

    Attributes:
        place: the address that shows it among its siblings.
    """

    place: str = ""


def found_page(run: TreeRun, search: TreeSearch, site: str) -> FoundPage:
    """Look for nodes of a run.

    Args:
        run: the run.
        search: what is looked for.
        site: the name of the admin site, for links.
    """
    found: list[Any] = list(node_rows().filter(search.condition(run)).order_by("id")[: PAGE + 1])
    rows = [FoundRow(run, node, 0, node.child_count, place_in_tree(node, site)) for node in found[:PAGE]]
    following = replace(search, after=found[PAGE - 1].id) if len(found) > PAGE else None
    return FoundPage(rows, following)


def states_to_choose(run: TreeRun) -> list[str]:
    """The states that can be looked for in a run."""
    final = [state.value for state in NodeState if state in NODE_FINAL]
    return [state.value for state in NodeState] if not run.is_over else [*final, NOT_REACHED]
