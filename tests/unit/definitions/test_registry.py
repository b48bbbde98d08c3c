import copy
import inspect
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.template import Context, Template

from django_tasktree import TaskTree
from django_tasktree.definitions import registry as module
from django_tasktree.definitions.definition import Definition
from django_tasktree.definitions.registry import (
    Registry,
    all_definitions,
    autodiscover,
    get_definition,
    register_tree,
)
from django_tasktree.exceptions import InvalidDefinition, InvalidParameter, UnknownDefinition
from django_tasktree.testing import registered


def nightly_report(day: date, pages: list[int] = [1], full: bool = False) -> TaskTree:  # noqa: B006
    """Report on a day.

    At night.
    """
    return TaskTree()


def weekly_report() -> TaskTree:
    return TaskTree()


with registered():

    @register_tree
    def monthly_report(day: date) -> TaskTree:
        return TaskTree()

    class Reports:
        @staticmethod
        @register_tree
        def yearly() -> TaskTree:
            return TaskTree()


@pytest.fixture
def definition() -> Definition:
    return Registry().add(nightly_report)


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Yield the project's registry, emptied for the test."""
    with registered(only=True):
        yield module.registry


class TestRegisterTree:
    def test_bare(self, registry: Registry) -> None:
        found = register_tree(nightly_report)

        assert get_definition("nightly-report") is found
        assert found.function is nightly_report
        assert found.description == "Report on a day.\n\nAt night."
        assert found.summary == "Report on a day."
        assert found.place == f"{__name__}.nightly_report"

    def test_with_a_name(self, registry: Registry) -> None:
        assert register_tree("nightly")(nightly_report) is get_definition("nightly")

        assert get_definition("nightly").function is nightly_report

    def test_with_keywords(self, registry: Registry) -> None:
        register_tree(name="nightly", description=" All of it. \n More.")(nightly_report)

        assert get_definition("nightly").summary == "All of it."

    def test_with_empty_parentheses(self, registry: Registry) -> None:
        register_tree()(weekly_report)

        assert get_definition("weekly-report").description == ""
        assert get_definition("weekly-report").summary == ""

    def test_one_function_under_two_names(self, registry: Registry) -> None:
        register_tree("b")(register_tree("a")(weekly_report))

        assert [definition.name for definition in all_definitions()] == ["a", "b"]
        assert get_definition("b").function is weekly_report

    def test_two_functions_with_one_name_are_refused(self, registry: Registry) -> None:
        register_tree("report")(nightly_report)

        with pytest.raises(InvalidDefinition, match=r"'report'") as caught:
            register_tree("report")(weekly_report)

        assert f"{__name__}.nightly_report" in str(caught.value)
        assert f"{__name__}.weekly_report" in str(caught.value)
        assert get_definition("report").function is nightly_report

    def test_a_function_that_is_imported_again_replaces_itself(self, registry: Registry) -> None:
        def imported(number: int) -> Any:
            def build() -> int:
                return number

            return build

        register_tree(imported(1))
        register_tree(imported(2))

        assert get_definition("build").function() == 2

    def test_a_signature_is_not_read_at_registration(self, registry: Registry) -> None:
        @register_tree  # type: ignore[arg-type]
        def build(group: "Group", other: "NotYetLoaded") -> None: ...  # type: ignore[name-defined]  # noqa: F821

        with pytest.raises(InvalidDefinition, match="NotYetLoaded"):
            _ = get_definition("build").parameters


class TestCalling:
    def test_the_tree_keeps_its_definition_and_parameters(self, registry: Registry) -> None:
        report = register_tree(nightly_report)
        for tree in (report(date(2026, 5, 1), [2]), report(day=date(2026, 5, 1), pages=[2]), report("2026-05-01", [2])):  # type: ignore[arg-type]
            assert (tree.definition, tree.params) == (
                "nightly-report",
                {"day": "2026-05-01", "pages": [2], "full": False},
            )
            assert tree.run_name == "nightly-report"

    def test_the_function_gets_values_of_the_annotated_types(self, registry: Registry) -> None:
        seen = []

        @register_tree
        def build(day: date, tags: list[str] = []) -> TaskTree:  # noqa: B006
            seen.append((day, tags))
            tags.append("changed")
            return TaskTree()

        build("2026-05-01")  # type: ignore[arg-type]
        build(date(2026, 5, 1), tags=["a"])
        build("2026-05-02")  # type: ignore[arg-type]
        assert [day for day, _ in seen] == [date(2026, 5, 1), date(2026, 5, 1), date(2026, 5, 2)]
        assert build("2026-05-01").params["tags"] == []  # type: ignore[arg-type]

    def test_a_definition_that_returns_the_tree_of_another(self, registry: Registry) -> None:
        inner = register_tree("inner")(lambda: TaskTree())
        outer = register_tree("outer")(lambda: inner())
        assert (inner().definition, outer().definition) == ("inner", "outer")

    @pytest.mark.parametrize(
        ("args", "kwargs", "error", "text"),
        [
            ((), {}, InvalidParameter, "definition 'nightly-report' needs the parameter 'day'"),
            (("soon",), {}, InvalidParameter, "'soon' is not a date"),
            ((), {"dya": 1, "day": "2026-05-01"}, InvalidParameter, "did you mean 'day'"),
            ((1, 2, 3, 4), {}, TypeError, r"takes 3 parameter\(s\), but 4 were given"),
            (("2026-05-01",), {"day": "2026-05-01"}, TypeError, "got the parameter 'day' twice"),
        ],
    )
    def test_wrong_arguments_are_refused(
        self, registry: Registry, args: Any, kwargs: Any, error: Any, text: str
    ) -> None:
        with pytest.raises(error, match=text):
            register_tree(nightly_report)(*args, **kwargs)

    def test_a_definition_has_the_attributes_of_its_function(self, registry: Registry) -> None:
        report = register_tree("x")(nightly_report)
        assert inspect.signature(report) == inspect.signature(nightly_report)
        assert (report.__name__, report.__doc__) == ("nightly_report", nightly_report.__doc__)  # type: ignore[attr-defined]
        assert Template("{{ each.name }}").render(Context({"each": report})) == "x"


class TestLookingUp:
    def test_the_nearest_name_is_suggested(self, registry: Registry) -> None:
        registry.add(nightly_report)

        with pytest.raises(UnknownDefinition, match=r"'nightly-reprot': did you mean 'nightly-report'\?"):
            get_definition("nightly-reprot")

    def test_an_unknown_name_without_a_similar_one(self, registry: Registry) -> None:
        registry.add(nightly_report)

        with pytest.raises(UnknownDefinition, match=r"'zzz'; `manage\.py run_tasktree --list` shows"):
            get_definition("zzz")

    def test_an_empty_registry(self, registry: Registry) -> None:
        with pytest.raises(
            UnknownDefinition, match=r"@django_tasktree.register_tree, in the module trees.py of an app"
        ):
            get_definition("nightly-report")

        assert all_definitions() == []

    def test_registries_are_independent(self) -> None:
        one, other = Registry(), Registry()

        one.add(weekly_report)

        assert [definition.name for definition in one.all()] == ["weekly-report"]
        assert other.all() == []


class TestAutodiscover:
    @pytest.fixture(autouse=True)
    def _app(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
        """Install one app that was never imported before."""
        package = tmp_path / "orchard"
        package.mkdir()
        (package / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
        app = SimpleNamespace(name="orchard", module=None)
        monkeypatch.setattr(apps, "get_app_configs", lambda: [app])
        for name in ("orchard", "orchard.trees"):
            monkeypatch.delitem(sys.modules, name, raising=False)

    def write_trees(self, tmp_path: Path, *lines: str) -> None:
        source = "\n".join(["from django_tasktree import register_tree", *lines])
        (tmp_path / "orchard" / "trees.py").write_text(source)

    def test_modules_named_trees_are_imported(self, tmp_path: Path) -> None:
        self.write_trees(tmp_path, "@register_tree", "def apple_tree(apples: int): ...")

        autodiscover()

        (definition,) = all_definitions()
        assert definition.name == "apple-tree"
        assert [parameter.describe() for parameter in definition.parameters] == ["apples: int"]

    def test_every_signature_is_checked(self, tmp_path: Path) -> None:
        self.write_trees(tmp_path, "@register_tree", "def broken(*names: str): ...")

        with pytest.raises(InvalidDefinition, match=r"orchard\.trees\.broken, which defines 'broken'"):
            autodiscover()


class TestParams:
    def test_texts_are_parsed_and_defaults_are_filled_in(self, definition: Definition) -> None:
        params = definition.parse_params({"day": "2026-01-31", "full": "yes"})

        assert params == {"day": date(2026, 1, 31), "pages": [1], "full": True}
        assert list(params) == ["day", "pages", "full"]

    def test_params_survive_json(self, definition: Definition) -> None:
        params = definition.clean_params({"day": "2026-01-31", "pages": [2, 3]})

        stored = definition.params_to_json(params)

        assert stored == {"day": "2026-01-31", "pages": [2, 3], "full": False}
        assert definition.clean_params(stored) == params

    def test_a_part_of_the_params_can_be_written(self, definition: Definition) -> None:
        assert definition.params_to_json({"day": date(2026, 1, 31)}) == {"day": "2026-01-31"}

    def test_launches_do_not_share_a_default(self, definition: Definition) -> None:
        definition.parse_params({"day": "2026-01-31"})["pages"].append(2)

        assert definition.parse_params({"day": "2026-01-31"})["pages"] == [1]

    def test_an_unknown_parameter_with_a_similar_name(self, definition: Definition) -> None:
        with pytest.raises(InvalidParameter) as caught:
            definition.parse_params({"day": "2026-01-31", "ful": "yes"})

        assert str(caught.value) == ("definition 'nightly-report' has no parameter 'ful': did you mean 'full'?")
        assert caught.value.errors == {"ful": "no such parameter: did you mean 'full'?"}

    def test_an_unknown_parameter_without_a_similar_name(self) -> None:
        with pytest.raises(InvalidParameter, match="definition 'weekly-report' has no parameter 'x': it takes none"):
            Registry().add(weekly_report).clean_params({"x": 1})

    def test_all_missing_parameters_are_reported_together(self) -> None:
        definition = Registry().add(lambda a, b, c="": None, "demo")

        with pytest.raises(InvalidParameter) as caught:
            definition.parse_params({})

        assert str(caught.value) == "definition 'demo' needs the parameters 'a', 'b'"
        assert caught.value.errors == {"a": "required, but not given", "b": "required, but not given"}

    def test_all_errors_are_reported_together(self, definition: Definition) -> None:
        with pytest.raises(InvalidParameter) as caught:
            definition.parse_params({"pages": "1,x", "full": "maybe", "dya": "2026-01-31"})

        assert set(caught.value.errors) == {"day", "pages", "full", "dya"}
        message = str(caught.value)
        # The misspelt 'dya' explains why 'day' is missing.
        assert message.startswith("definition 'nightly-report' has no parameter 'dya': did you mean 'day'?; ")
        assert "needs the parameter" not in message
        assert "parameter 'pages' of definition 'nightly-report': item 2: 'x' is not a whole number" in message
        assert "parameter 'full' of definition 'nightly-report': 'maybe' is not a truth value" in message

    def test_a_misspelt_name_is_reported_once(self, definition: Definition) -> None:
        with pytest.raises(InvalidParameter) as caught:
            definition.parse_params({"dya": "2026-01-31"})

        assert str(caught.value) == "definition 'nightly-report' has no parameter 'dya': did you mean 'day'?"

    def test_the_signature_is_read_once(self, definition: Definition) -> None:
        assert definition.parameters is definition.parameters


class TestBuild:
    def test_build_returns_the_tree(self, definition: Definition) -> None:
        assert isinstance(definition.build(day=date(2026, 1, 31)), TaskTree)

    def test_parameters_may_be_named_self_and_name(self) -> None:
        def build(self: str, name: str) -> TaskTree:
            assert (self, name) == ("a", "b")
            return TaskTree()

        assert isinstance(Registry().add(build).build(self="a", name="b"), TaskTree)

    @pytest.mark.parametrize("returned", [None, "tree", TaskTree])
    def test_anything_but_a_tree_is_refused(self, returned: Any) -> None:
        definition = Registry().add(lambda: returned, "demo")

        with pytest.raises(
            InvalidDefinition, match=r"which defines 'demo', returned .* it must return a django_tasktree.TaskTree"
        ):
            definition.build()


def test_the_decorator_works_before_the_app_registry_is_ready() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    script = "from django_tasktree import register_tree\n@register_tree('demo')\ndef demo(group: 'Group'): ...\n"

    subprocess.run([sys.executable, "-c", script], env=environment, check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("found", [monthly_report, Reports.yearly], ids=["function", "static method"])
def test_a_decorated_function_is_pickled_by_reference(found: Definition, protocol: int) -> None:
    assert pickle.loads(pickle.dumps(found, protocol)) is found
    assert copy.copy(found) is copy.deepcopy(found) is found


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_definition_beside_its_function_is_pickled_with_it(definition: Definition, protocol: int) -> None:
    assert definition.parameters
    for found in (pickle.loads(pickle.dumps(definition, protocol)), copy.copy(definition), copy.deepcopy(definition)):
        assert found == definition
        assert found.function is nightly_report
        assert [each.describe() for each in found.parameters] == [each.describe() for each in definition.parameters]
