"""Launch trees by name: from code, from text, and from celery-beat's message."""

from datetime import date

import pytest
from asgiref.sync import async_to_sync

from django_tasktree import TaskTree, TreeResult
from django_tasktree.engine import launch as launching
from django_tasktree.exceptions import InvalidDefinition, InvalidParameter, KeyInUse, UnknownDefinition
from django_tasktree.launching import launch_definition, params_from_text, prepare
from django_tasktree.models import TreeRun
from django_tasktree.registry import Registry, get_definition
from django_tasktree.tasks import launch
from tests.sample import tasks

pytestmark = pytest.mark.django_db(transaction=True)


def report(day: date, numbers: list[int], full: bool = False) -> TaskTree:
    tree = TaskTree()
    tree.add_task(tasks.echo, [f"{day:%d.%m.%Y} {sum(numbers)} {full}"])
    return tree


@pytest.fixture(autouse=True)
def definitions(monkeypatch, eager):
    registry = Registry()
    registry.add(report)
    monkeypatch.setattr("django_tasktree.registry.registry", registry)
    return registry


def test_values_of_their_own_types_and_json_launch_the_same():
    typed = launch_definition("report", {"day": date(2026, 5, 1), "numbers": [1, 2]})
    as_json = launch_definition("report", typed.run.params)
    assert typed.join() == as_json.join() == ["01.05.2026 3 False"]
    assert typed.run.params == as_json.run.params == {"day": "2026-05-01", "numbers": [1, 2], "full": False}
    assert (typed.run.name, typed.run.definition) == ("report", "report")


def test_a_tree_with_a_name_of_its_own_keeps_it(definitions):
    definitions.add(lambda: TaskTree("of May"), "named")
    run = launch_definition("named").run
    assert (run.name, run.definition) == ("of May", "named")


def test_a_key_launches_once(django_user_model):
    user = django_user_model.objects.create(username="u")
    params = {"day": "2026-05-01", "numbers": []}
    first = launch_definition("report", params, key="k", launched_by=user)
    assert launch_definition("report", params, key="k") == first
    assert TreeRun.objects.get().launched_by == user


class TestKeys:
    """A key stands for one launch: of one definition, with one set of parameters."""

    PARAMS = {"day": "2026-05-01", "numbers": [1]}

    def refused(self, launch_again):
        with pytest.raises(KeyInUse) as caught:
            launch_again()
        assert TreeRun.objects.count() == 1
        assert f"the key 'k' belongs to run {TreeRun.objects.get().id} of " in str(caught.value)
        return str(caught.value)

    def test_other_parameters(self, definitions):
        launch_definition("report", self.PARAMS, key="k")
        text = self.refused(lambda: launch_definition("report", {**self.PARAMS, "full": True}, key="k"))
        assert """'report' with {"day": "2026-05-01", "full": false, "numbers": [1]}""" in text
        assert """'report' with {"day": "2026-05-01", "full": true, "numbers": [1]}""" in text
        # The same ones, however they are written.
        launch_definition("report", {"numbers": [1], "full": False, "day": date(2026, 5, 1)}, key="k")

    def test_another_definition(self, definitions):
        definitions.add(report, "other")
        launch_definition("report", self.PARAMS, key="k")
        text = self.refused(lambda: launch_definition("other", self.PARAMS, key="k"))
        assert "the definition 'report' with" in text
        assert "the definition 'other' with" in text

    def test_a_tree_of_no_definition(self, definitions):
        tree = TaskTree()
        tree.add_task(tasks.echo, [1])
        first = tree.apply_async(key="k")
        text = self.refused(lambda: launch_definition("report", self.PARAMS, key="k"))
        assert "a tree that no definition built" in text
        # Its arguments may have the time of the launch in them.
        again = TaskTree("another name")
        again.add_task(tasks.echo, [2])
        assert again.apply_async(key="k") == first
        again.add_task(tasks.add, [1, 2])
        text = self.refused(lambda: again.apply_async(key="k"))
        assert "whose root nodes are tests.sample.tasks.echo, so" in text
        assert "whose root nodes are tests.sample.tasks.echo, tests.sample.tasks.add:" in text

    def test_two_at_once(self, definitions, monkeypatch):
        """The other launch commits between the look and the insert."""
        real = launching._find
        calls = []

        def find(*given):
            calls.append(given)
            if len(calls) > 1:
                return real(*given)
            monkeypatch.setattr(launching, "_find", real)
            launch_definition("report", {**self.PARAMS, "full": True}, key="k")
            monkeypatch.setattr(launching, "_find", find)
            return None

        monkeypatch.setattr(launching, "_find", find)
        self.refused(lambda: launch_definition("report", self.PARAMS, key="k"))


class TestLaunch:
    """``definition.launch(…)``, and calling it."""

    def test_both_record_definition_and_parameters(self, definitions, django_user_model):
        definition = definitions.get("report")
        user = django_user_model.objects.create(username="u")
        one = definition.launch(day=date(2026, 5, 1), numbers=[1], key="one", launched_by=user, name="of May").run
        two = definition(date(2026, 5, 1), [1]).apply_async().run
        params = {"day": "2026-05-01", "numbers": [1], "full": False}
        assert (one.definition, one.params, one.key, one.launched_by, one.name) == (
            "report",
            params,
            "one",
            user,
            "of May",
        )
        assert (two.definition, two.params, two.name) == ("report", params, "report")

    def test_a_parameter_with_the_name_of_an_option(self, definitions):
        def keyed(key: str, name: str) -> TaskTree:
            return TaskTree(name)

        run = definitions.add(keyed).launch(key="a parameter", name="n", draft=True).run
        assert (run.key, run.params, run.state) == (None, {"key": "a parameter", "name": "n"}, "DRAFT")

    def test_what_is_neither(self, definitions):
        with pytest.raises(InvalidParameter, match="no parameter 'kee'"):
            definitions.get("report").launch(day="2026-05-01", numbers=[], kee="k")

    async def run_later(self, definition):
        return await definition.alaunch(day="2026-05-01", numbers=[])

    def test_without_blocking(self, definitions):
        assert async_to_sync(self.run_later)(definitions.get("report")).run.definition == "report"

    def test_a_copy_of_it(self, definitions):
        copied = definitions.get("report").launch(day="2026-05-01", numbers=[]).copy(full=True).run
        assert (copied.definition, copied.params["full"]) == ("report", True)


@pytest.mark.parametrize(
    ("add", "name"),
    [
        ([], "empty tree"),
        ([tasks.echo], "echo"),
        ([tasks.echo, tasks.echo, tasks.add], "echo, add"),
        ([tasks.echo, tasks.add, tasks.fail, tasks.flaky], "echo, add, fail, …"),
    ],
)
def test_a_run_without_a_name_is_called_after_its_root_nodes(add, name):
    tree = TaskTree()
    for task in add:
        tree.add_task(task, [1, 2] if task is tasks.add else [1])
    assert tree.apply_async(draft=True).run.name == name


def test_nothing_is_launched_before_everything_is_known_to_be_right(definitions):
    definitions.add(lambda: None, "nothing")
    for name, params, error in [
        ("raport", {}, UnknownDefinition),
        ("report", {"day": "soon", "numbers": [], "x": 1}, InvalidParameter),
        ("nothing", {}, InvalidDefinition),
    ]:
        with pytest.raises(error):
            launch_definition(name, params)
    prepare("report", {"day": "2026-05-01", "numbers": []})
    assert not TreeRun.objects.exists()


def test_text_and_json_may_be_mixed_and_text_comes_first():
    definition = get_definition("report")
    mixed = params_from_text(definition, {"day": "2026-05-01"}, {"numbers": [4], "day": "2026-01-01", "full": True})
    assert mixed == {"day": date(2026, 5, 1), "numbers": [4], "full": True}
    assert params_from_text(definition, {"day": "2026-05-01", "numbers": "1,2"})["numbers"] == [1, 2]
    with pytest.raises(InvalidParameter, match=r"'dya'.*did you mean 'day'"):
        params_from_text(definition, {"dya": "2026-05-01"}, {"numbers": []})


def test_a_message_of_beat_launches_a_tree(app):
    assert app.tasks["django_tasktree.launch"].name == launch.name
    run_id = launch.delay("report", params={"day": "2026-05-01", "numbers": [7]}, key="beat").get()
    assert TreeResult(run_id).join() == ["01.05.2026 7 False"]
    assert isinstance(run_id, str)
    assert launch.delay("report", {"day": "2026-05-01", "numbers": [7]}, "beat").get() == run_id
