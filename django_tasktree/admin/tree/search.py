"""Search for nodes of a run by state and by text in the label, the task's name, the error or the arguments."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q

from django_tasktree.admin.tree.page import PAGE, place_in_tree
from django_tasktree.admin.tree.row import TreeRow, node_rows
from django_tasktree.encoding.ids import as_uuid
from django_tasktree.encoding.text import is_storable
from django_tasktree.models import TreeRun
from django_tasktree.models.querysets import has_id
from django_tasktree.reporting.not_reached import is_not_reached
from django_tasktree.states import NODE_FINAL, NodeState

#: A choice in addition to the states.
NOT_REACHED = "UNREACHED"
#: The columns that are searched: those with plain text, and those with JSON.
_PLAIN, _JSON = ("label", "task", "error_type", "error_message"), ("args", "kwargs")


@dataclass(frozen=True)
class TreeSearch:
    """The terms of a search.

    Attributes:
        state: a state, or ``NOT_REACHED``; empty for any.
        text: a part of a label, a task's name, an error's type or message, or an argument; or the complete ID of a node
            or task.
        parent_id: only nodes directly under this one.
        after: only nodes with greater IDs than this: the last ID of the previous page.
    """

    state: str = ""
    text: str = ""
    parent_id: UUID | None = None
    after: UUID | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "TreeSearch":
        """Return the search that the query of a URL describes; invalid values are ignored."""
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
        """The query of a URL for this search."""
        names = {"state": self.state, "q": self.text, "parent": self.parent_id, "after": self.after}
        return urlencode({name: str(value) for name, value in names.items() if value})

    def condition(self, run: TreeRun) -> Q:
        """Return the condition for nodes of the run."""
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
            return Q(state__in=[state for state in NodeState if is_not_reached(state, run.state)])
        return Q(state=self.state)

    def _text(self) -> Q:
        if not self.text:
            return Q()
        if not is_storable(self.text):
            return Q(pk__in=[])
        key = as_uuid(self.text)
        found = has_id(key) if key is not None else Q()
        for text in _spellings(self.text):
            for column in _PLAIN:
                found |= Q(**{f"{column}__icontains": text})
            for stored in _stored(text):
                for column in _JSON:
                    found |= Q(**{f"{column}__icontains": stored})
        return found


def _spellings(text: str) -> list[str]:
    """Return a text in several cases: where JSON escapes non-ASCII letters, databases can't ignore their case."""
    if text.isascii():
        return [text]
    return list(dict.fromkeys((text, text.lower(), text.upper(), text.title(), text.capitalize())))


def _stored(text: str) -> list[str]:
    """Return a text as JSON stores it: as a part of a string and, if it has quotes, with these around strings."""
    inside = json.dumps(text)[1:-1]
    return [inside, inside.replace('\\"', '"')] if '"' in text else [inside]


@dataclass(frozen=True)
class FoundPage:
    """A page of results, in the order in which the nodes were created.

    Attributes:
        rows: the rows of the table.
        next: the search for the next page; None on the last page.
    """

    rows: list["FoundRow"]
    next: TreeSearch | None


@dataclass(frozen=True)
class FoundRow(TreeRow):
    """A result of a search.

    Attributes:
        place: the URL that shows the node among its siblings.
    """

    place: str = ""


def found_page(run: TreeRun, search: TreeSearch, site: str) -> FoundPage:
    """Return a page of the nodes that a search finds.

    Args:
        run: the run.
        search: the terms.
        site: the name of the admin site, for links.
    """
    found: list[Any] = list(node_rows().filter(search.condition(run)).order_by("id")[: PAGE + 1])
    rows = [FoundRow(run, node, 0, node.child_count, place=place_in_tree(node, site)) for node in found[:PAGE]]
    following = replace(search, after=found[PAGE - 1].id) if len(found) > PAGE else None
    return FoundPage(rows, following)


def states_to_choose(run: TreeRun) -> list[str]:
    """Return the states that the search form of a run offers; after its end the final ones and "not reached"."""
    final = [state.value for state in NodeState if state in NODE_FINAL]
    return [state.value for state in NodeState] if not run.is_over else [*final, NOT_REACHED]
