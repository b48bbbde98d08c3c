"""The conditions for running a node, and the effects of its failure."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django_tasktree.builder.calls import check_choice, check_limit
from django_tasktree.builder.quorum import ALL
from django_tasktree.states import OnFailure, RunWhen


@dataclass(frozen=True)
class Rules:
    """The conditions for running a node, and the effects of its failure; see :meth:`NodeParent.add_task`.

    Raises:
        InvalidOption: a value is invalid.
    """

    run_when: str = "success"
    is_gather: bool = False
    allow_failure: bool = False
    on_failure: str = "continue"
    max_active: int | None = None
    quorum: str = ALL

    def __post_init__(self) -> None:
        check_choice("run_when", self.run_when, RunWhen)
        check_choice("on_failure", self.on_failure, OnFailure)
        check_limit(self.max_active)


def shared_rules(*values: Any) -> Rules:
    """Return the rules with these values; nodes with equal values share one object."""
    try:
        return _cached_rules(*values)
    except TypeError:
        # A value that is not hashable is not valid either: raise the error that says so.
        return Rules(*values)


@lru_cache(maxsize=256, typed=True)
def _cached_rules(*values: Any) -> Rules:
    return Rules(*values)


#: Those of a node whose options all have their defaults.
DEFAULT_RULES = Rules()
