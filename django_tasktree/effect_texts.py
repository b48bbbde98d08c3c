"""What steering does, or would do, in words."""

from collections.abc import Callable, Iterable, Iterator

from django.utils.translation import ngettext

from django_tasktree.engine.specs import Effect
from django_tasktree.number_texts import number_text


def _again(number: int) -> str:
    return ngettext("%(number)s node runs again", "%(number)s nodes run again", number)


def _revoked(number: int) -> str:
    return ngettext("%(number)s node never starts", "%(number)s nodes never start", number)


def _held(number: int) -> str:
    return ngettext("%(number)s waiting node is concerned", "%(number)s waiting nodes are concerned", number)


def _removed(number: int) -> str:
    return ngettext(
        "%(number)s node that a task had added is removed; it may add it again",
        "%(number)s nodes that tasks had added are removed; they may add them again",
        number,
    )


def _stays(number: int) -> str:
    return ngettext("%(number)s node that succeeded stays", "%(number)s nodes that succeeded stay", number)


def _running(number: int) -> str:
    return ngettext("%(number)s task is running at this moment", "%(number)s tasks are running at this moment", number)


_TEXTS: dict[str, Callable[[int], str]] = {
    "again": _again,
    "revoked": _revoked,
    "held": _held,
    "removed": _removed,
    "stays": _stays,
    "running": _running,
}


def effect_texts(effect: Effect) -> list[str]:
    """Tell each number that is not 0.

    Returns:
        Short sentences without a full stop; none where no node is concerned.
    """
    return list(_told((name, getattr(effect, name)) for name in _TEXTS))


def _told(numbers: Iterable[tuple[str, int]]) -> Iterator[str]:
    for name, number in numbers:
        if number:
            yield _TEXTS[name](number) % {"number": number_text(number)}


def total(effects: Iterable[Effect]) -> Effect:
    """Add effects up."""
    sums = dict.fromkeys(_TEXTS, 0)
    for effect in effects:
        for name in sums:
            sums[name] += getattr(effect, name)
    return Effect(**sums)
