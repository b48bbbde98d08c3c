"""What a signature says about parameters, and which signatures are refused."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Literal, Optional  # noqa: UP035 - users still write them

import pytest
from django.contrib.auth.models import AbstractUser, Group

from django_tasktree.definitions.parameters import parameters_of
from django_tasktree.exceptions import InvalidDefinition
from tests.unit.definitions.parameter_examples import Level, parameter

if TYPE_CHECKING:
    from fractions import Fraction

DESCRIPTIONS = [
    (date, {}, "value: date"),
    (bool, {"default": False}, "value: bool = False"),
    (str, {"default": 'a "b" ä'}, r'value: str = "a \"b\" ä"'),
    (Decimal, {"default": Decimal("1.50")}, "value: Decimal = 1.50"),
    (date, {"default": date(2026, 1, 31)}, "value: date = 2026-01-31"),
    (datetime, {"default": datetime(2026, 1, 31, 10)}, "value: datetime = 2026-01-31T10:00:00"),
    (uuid.UUID, {"default": uuid.UUID(int=10)}, "value: UUID = 00000000-0000-0000-0000-00000000000a"),
    (Path, {"default": Path("a/b")}, "value: Path = a/b"),
    (Literal["low", "high"], {"default": "low"}, 'value: "low"|"high" = "low"'),
    (Literal[1, 2], {}, "value: 1|2"),
    (Level, {"default": Level.HIGH}, "value: LOW|HIGH = HIGH"),
    (int | None, {}, "value: int | None"),
    (int | None, {"default": None}, "value: int | None = None"),
    (list[int], {"default": (1, 2)}, "value: list[int] = [1, 2]"),
    (list[date | None], {}, "value: list[date | None]"),
    (Group, {}, "value: auth.Group"),
]


@pytest.mark.parametrize(("annotation", "default", "expected"), DESCRIPTIONS)
def test_describe(annotation: Any, default: dict[str, Any], expected: str) -> None:
    assert parameter(annotation, **default).describe() == expected


class TestSignature:
    def test_names_order_and_defaults(self) -> None:
        def build(day: date, pages: int = 3, *, full: bool = False, note: str | None = None) -> None: ...

        made = parameters_of(build, "demo")

        assert [each.name for each in made] == ["day", "pages", "full", "note"]
        assert [each.kind for each in made] == ["date", "int", "bool", "text"]
        assert [each.required for each in made] == [True, False, False, False]
        assert [each.optional for each in made] == [False, False, False, True]
        assert [each.default for each in made] == [None, 3, False, None]
        assert {each.owner for each in made} == {"demo"}

    def test_no_parameters(self) -> None:
        assert parameters_of(lambda: None, "demo") == ()

    def test_a_parameter_without_annotation_is_text(self) -> None:
        (only,) = parameters_of(lambda name: None, "demo")

        assert (only.kind, only.annotation) == ("text", str)

    def test_a_default_of_none_makes_the_parameter_optional(self) -> None:
        made = parameter(date, default=None)

        assert made.optional
        assert made.clean(None) is None

    def test_choices_and_items(self) -> None:
        assert parameter(Level).choices == (Level.LOW, Level.HIGH)
        assert parameter(Literal["a", 1]).choices == ("a", 1)
        item = parameter(list[Level | None]).item
        assert item is not None
        assert (item.kind, item.optional, item.choices) == ("enum", True, (Level.LOW, Level.HIGH))
        assert parameter(Optional[Level]).annotation is Level  # noqa: UP045

    def test_annotations_that_are_strings(self) -> None:
        def build(day: "date | None", group: "Group", full: "bool" = False) -> "Missing": ...  # type: ignore[name-defined]  # noqa: F821

        assert [each.label for each in parameters_of(build, "demo")] == ["date | None", "auth.Group", "bool"]

    def test_a_parameter_can_be_hashed_and_compared(self) -> None:
        one, other = parameter(list[int], default=[1]), parameter(list[int], default=[1])

        assert one == other
        assert hash(one) == hash(other)


def refused(build: Callable[..., Any]) -> str:
    """Return the message of the InvalidDefinition that the signature of a function raises."""
    with pytest.raises(InvalidDefinition) as caught:
        parameters_of(build, "demo")
    message = str(caught.value)
    assert f"{build.__module__}.{build.__qualname__}" in message
    assert "'demo'" in message
    return message


class TestRefusedSignatures:
    def test_collected_arguments(self) -> None:
        def build(*names: str) -> None: ...

        def build_named(**options: str) -> None: ...

        assert "'*names" in refused(build)
        assert "'**options" in refused(build_named)
        assert "replace it by named parameters" in refused(build)

    def test_positional_only(self) -> None:
        def build(name: str, /) -> None: ...

        assert "parameter 'name'" in refused(build)
        assert "remove the /" in refused(build)

    @pytest.mark.parametrize(
        "annotation",
        [
            dict,
            dict[str, int],
            list,
            List,  # noqa: UP006
            list[list[int]],
            list[dict[str, int]],
            tuple[int, None],
            int | str,
            Any,
            object,
            None,
            Enum,
            Literal[b"x"],
            Literal[Level.LOW],
            AbstractUser,
            timedelta,
        ],
    )
    def test_types_that_are_not_supported(self, annotation: Any) -> None:
        with pytest.raises(
            InvalidDefinition, match=r"parameter 'value' of .*'demo': the type .* is not supported; use"
        ):
            parameter(annotation)

    def test_a_type_imported_only_for_type_checkers(self) -> None:
        def build(share: "Fraction") -> None: ...

        message = refused(build)

        assert "parameter 'share'" in message
        assert "name 'Fraction' is not defined" in message
        assert "outside `if TYPE_CHECKING:`" in message

    @pytest.mark.parametrize("annotation", ["date |", "1 + 'x'", "Level.Missing"])
    def test_annotations_that_cannot_be_evaluated(self, annotation: str) -> None:
        with pytest.raises(InvalidDefinition, match="can't be resolved"):
            parameter(annotation)

    @pytest.mark.parametrize(
        ("annotation", "default"), [(int, "5"), (date, "soon"), (bool, 0), (list[int], ["x"]), (Level, "lo")]
    )
    def test_defaults_of_another_type(self, annotation: Any, default: Any) -> None:
        with pytest.raises(InvalidDefinition, match=r"its default does not fit its annotation: .*; change one of them"):
            parameter(annotation, default=default)


def test_the_module_can_be_imported_before_django_is_set_up() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    script = "import django_tasktree.definitions.parameters, django_tasktree.definitions.registry"

    subprocess.run([sys.executable, "-c", script], env=environment, check=True, cwd=Path(__file__).parents[3])
