"""Parameters whose type is a model."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.unit.definitions.parameter_examples import parameter, reason


@pytest.mark.django_db
class TestModels:
    def test_a_primary_key_becomes_the_row(self) -> None:
        group = Group.objects.create(name="staff")
        made = parameter(Group)

        assert (made.kind, made.model) == ("model", Group)
        assert made.parse(str(group.pk)) == group
        assert made.clean(group.pk) == group
        assert made.to_json(group) == group.pk
        assert made.clean(made.to_json(group)) == group

    def test_a_row_is_accepted_without_a_query(self) -> None:
        group = Group.objects.create(name="staff")

        with CaptureQueriesContext(connection) as queries:
            assert parameter(Group).clean(group) is group

        assert len(queries) == 0

    def test_lists_of_rows(self) -> None:
        groups = [Group.objects.create(name=name) for name in "ab"]
        made = parameter(list[Group])

        assert made.parse(f"{groups[0].pk},{groups[1].pk}") == groups
        assert made.clean(made.to_json(groups)) == groups

    def test_none_is_accepted_if_the_parameter_is_optional(self) -> None:
        made = parameter(Group | None)

        assert made.parse("none") is None
        assert made.clean(made.to_json(None)) is None

    def test_a_missing_row(self) -> None:
        assert reason(parameter(Group).clean, 4711) == "no auth.Group has the primary key 4711"
        assert reason(parameter(Group).parse, "4711") == "no auth.Group has the primary key '4711'"
        assert "item 1: no auth.Group" in reason(parameter(list[Group]).clean, [4711])

    @pytest.mark.parametrize("value", ["x", "", True, 1.0, None, [], {}])
    def test_an_invalid_primary_key(self, value: Any) -> None:
        assert reason(parameter(Group).clean, value) == f"{value!r} can't be the primary key of any auth.Group"

    def test_an_unsaved_row(self) -> None:
        assert "save it first" in reason(parameter(Group).clean, Group(name="new"))

    def test_a_row_of_another_model(self) -> None:
        assert "a auth.Permission can't be" in reason(parameter(Group).clean, Permission(pk=1))
        assert reason(parameter(int).clean, Permission(pk=1)) == "a auth.Permission is not a whole number"

    def test_a_default_is_not_looked_up_before_it_is_needed(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            made = parameter(Group, default=4711)

        assert len(queries) == 0
        assert made.describe() == "value: auth.Group = 4711"
