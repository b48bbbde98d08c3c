"""Describe the effects of actions in sentences for users."""

from collections.abc import Callable, Iterable

from django.utils.translation import ngettext

from django_tasktree.engine.types import Effect
from django_tasktree.reporting.numbers import number_text


def _again(number: int) -> str:
    return ngettext("%(number)s node runs again", "%(number)s nodes run again", number)


def _revoked(number: int) -> str:
    return ngettext("%(number)s node is revoked", "%(number)s nodes are revoked", number)


def _held(number: int) -> str:
    return ngettext("%(number)s node is affected", "%(number)s nodes are affected", number)


def _removed(number: int) -> str:
    return ngettext(
        "%(number)s node that a task added is removed; the task may add it again",
        "%(number)s nodes that tasks added are removed; the tasks may add them again",
        number,
    )


def _stays(number: int) -> str:
    return ngettext("%(number)s successful node is unchanged", "%(number)s successful nodes are unchanged", number)


def _running(number: int) -> str:
    return ngettext("%(number)s task is running now", "%(number)s tasks are running now", number)


def _deleted(number: int) -> str:
    return ngettext("%(number)s node is deleted", "%(number)s nodes are deleted", number)


_TEXTS: dict[str, Callable[[int], str]] = {
    "again": _again,
    "revoked": _revoked,
    "held": _held,
    "removed": _removed,
    "stays": _stays,
    "running": _running,
}


#: Texts that differ from those for single actions.
_TEXTS_OF: dict[str, dict[str, Callable[[int], str]]] = {"delete": {"removed": _deleted}}


def describe_effect(action: str, effect: Effect) -> list[str]:
    """Return a translated sentence for each number in an effect that is not 0.

    Args:
        action: the name of the action.
        effect: the effect that the action has had, or would have.

    Returns:
        Short sentences without a full stop; none if no node is affected.
    """
    texts = {**_TEXTS, **_TEXTS_OF.get(action, {})}
    numbers = {name: getattr(effect, name) for name in texts}
    return [texts[name](number) % {"number": number_text(number)} for name, number in numbers.items() if number]


def total(effects: Iterable[Effect]) -> Effect:
    """Return the sum of effects."""
    sums = dict.fromkeys(_TEXTS, 0)
    for effect in effects:
        for name in sums:
            sums[name] += getattr(effect, name)
    return Effect(**sums)
