"""Definitions and settings for type checkers; nothing here is executed."""

from datetime import timedelta
from typing import TYPE_CHECKING

from django_tasktree import TaskTree, TreeResult, register_tree
from django_tasktree.conf import settings
from django_tasktree.definitions.definition import Definition
from tests.typing.tasks import fetch

if TYPE_CHECKING:
    from typing_extensions import assert_type


@register_tree
def letters(day: str, copies: int = 1) -> TaskTree:
    tree = TaskTree()
    for _ in range(copies):
        tree.add_task(fetch, [day])
    return tree


@register_tree("other-letters", description="Letters once more.")
def other_letters(*, day: str) -> TaskTree:
    return letters(day)


def parameters_are_kept() -> None:
    assert_type(letters("2026-01-31"), TaskTree)
    assert_type(letters(day="2026-01-31", copies=2).apply_async(key="k"), TreeResult)
    assert_type(letters.launch(day="2026-01-31", copies=2), TreeResult)
    assert_type(letters.launch("2026-01-31"), TreeResult)
    assert_type(other_letters.launch(day="2026-01-31"), TreeResult)
    assert_type(letters.name, str)


def launch_options_are_accepted() -> None:
    assert_type(letters.launch(day="2026-01-31", key="k", launched_by=None), TreeResult)
    letters.launch(day="2026-01-31", draft=True)
    letters.launch(day="2026-01-31", countdown=3)
    letters.launch(day="2026-01-31", deadline=timedelta(hours=1))


async def without_blocking() -> None:
    assert_type(await letters.alaunch(day="2026-01-31"), TreeResult)
    assert_type(await letters.alaunch(day="2026-01-31", name="n"), TreeResult)
    await letters.alaunch(day=31)  # type: ignore[call-overload]


def wrong_parameters() -> None:
    letters()  # type: ignore[call-arg]
    letters(31)  # type: ignore[arg-type]
    letters(date="2026-01-31")  # type: ignore[call-arg]
    letters.launch()  # type: ignore[call-overload]
    letters.launch(day=31)  # type: ignore[call-overload]
    letters.launch(day="2026-01-31", keys="k")  # type: ignore[call-overload]
    letters.launch(day="2026-01-31", countdown="3")  # type: ignore[call-overload]
    other_letters("2026-01-31")  # type: ignore[call-arg]


def no_definitions() -> None:
    @register_tree  # type: ignore[arg-type]
    def no_tree(day: str) -> str:
        return day

    del no_tree


def any_definition(definition: Definition) -> None:
    assert_type(definition(day="2026-01-31"), TaskTree)


def settings_have_types() -> None:
    assert_type(settings.max_deliveries, int)
    assert_type(settings.retention, float | None)
    settings.max_delivery  # type: ignore[attr-defined]
    settings.max_deliveries = 3  # type: ignore[misc]
