"""Launch trees by name: from code, from text, and from celery-beat's message."""

from datetime import date, datetime, timezone

import pytest
from asgiref.sync import async_to_sync

from django_tasktree import TaskTree, TreeResult, register_tree
from django_tasktree.definitions.launch import launch_definition, params_from_text, prepare
from django_tasktree.definitions.registry import get_definition
from django_tasktree.engine.lifecycle import launch as launching
from django_tasktree.exceptions import InvalidDefinition, InvalidParameter, KeyInUse, UnknownDefinition
from django_tasktree.models import TreeRun
from django_tasktree.tasks import launch
from django_tasktree.testing import registered
from tests.sample import tasks

pytestmark = pytest.mark.django_db(transaction=True)


def report(day: date, numbers: list[int], full: bool = False) -> TaskTree:
    """Build a tree of one node whose result has the parameters."""
    tree = TaskTree()
    tree.add_task(tasks.echo, [f"{day:%d.%m.%Y} {sum(numbers)} {full}"])
    return tree


@pytest.fixture(autouse=True)
def definitions(eager):
    """Register the definition ``report`` only."""
    with registered(report, only=True):
        yield


def test_typed_values_and_json_launch_the_same_run():
    typed = launch_definition("report", {"day": date(2026, 5, 1), "numbers": [1, 2]})
    as_json = launch_definition("report", typed.run.params)
    assert typed.join() == as_json.join() == ["01.05.2026 3 False"]
    assert typed.run.params == as_json.run.params == {"day": "2026-05-01", "numbers": [1, 2], "full": False}
    assert (typed.run.name, typed.run.definition) == ("report", "report")


def test_a_tree_keeps_its_own_name():
    register_tree("named")(lambda: TaskTree("of May"))
    run = launch_definition("named").run
    assert (run.name, run.definition) == ("of May", "named")


def test_a_key_launches_once(django_user_model):
    user = django_user_model.objects.create(username="u")
    params = {"day": "2026-05-01", "numbers": []}
    first = launch_definition("report", params, key="k", launched_by=user)
    assert launch_definition("report", params, key="k") == first
    assert TreeRun.objects.get().launched_by == user


def test_a_launch_by_name_takes_the_options_of_a_launch():
    register_tree("named")(lambda: TaskTree())
    due, end = datetime(2126, 5, 1, tzinfo=timezone.utc), datetime(2126, 5, 2, tzinfo=timezone.utc)
    later = launch_definition("named", eta=due, deadline=end).run
    assert (later.eta, later.deadline) == (due, end)
    assert launch_definition("named", draft=True).state == "DRAFT"
    assert launch_definition("named", countdown=3600).run.eta is not None


class TestKeys:
    """A key identifies one launch: of one definition, with one set of parameters."""

    PARAMS = {"day": "2026-05-01", "numbers": [1]}

    def refusal_of(self, launch_again):
        """Return the error of a launch that is refused because of its key."""
        with pytest.raises(KeyInUse) as caught:
            launch_again()
        assert TreeRun.objects.count() == 1
        assert f"the key 'k' belongs to run {TreeRun.objects.get().id} of " in str(caught.value)
        return str(caught.value)

    def test_other_parameters_are_refused(self):
        launch_definition("report", self.PARAMS, key="k")
        text = self.refusal_of(lambda: launch_definition("report", {**self.PARAMS, "full": True}, key="k"))
        assert """'report' with {"day": "2026-05-01", "full": false, "numbers": [1]}""" in text
        assert """'report' with {"day": "2026-05-01", "full": true, "numbers": [1]}""" in text
        # The same parameters, written in another way.
        launch_definition("report", {"numbers": [1], "full": False, "day": date(2026, 5, 1)}, key="k")

    def test_another_definition_is_refused(self):
        register_tree("other")(report)
        launch_definition("report", self.PARAMS, key="k")
        text = self.refusal_of(lambda: launch_definition("other", self.PARAMS, key="k"))
        assert "the definition 'report' with" in text
        assert "the definition 'other' with" in text

    def test_a_tree_without_a_definition(self):
        tree = TaskTree()
        tree.add_task(tasks.echo, [1])
        first = tree.apply_async(key="k")
        text = self.refusal_of(lambda: launch_definition("report", self.PARAMS, key="k"))
        assert "a tree that no definition built" in text
        # The arguments may differ: they may contain the time of the launch.
        again = TaskTree("another name")
        again.add_task(tasks.echo, [2])
        assert again.apply_async(key="k") == first
        again.add_task(tasks.add, [1, 2])
        text = self.refusal_of(lambda: again.apply_async(key="k"))
        assert "whose root nodes are tests.sample.tasks.echo, so" in text
        assert "whose root nodes are tests.sample.tasks.echo, tests.sample.tasks.add:" in text

    def test_a_concurrent_launch_with_other_parameters_is_refused(self, monkeypatch):
        """The other launch commits after this one has looked for the key, and before it inserts its run."""
        real = launching.find_by_key
        calls = []

        def find(*args):
            calls.append(args)
            if len(calls) > 1:
                return real(*args)
            monkeypatch.setattr(launching, "find_by_key", real)
            launch_definition("report", {**self.PARAMS, "full": True}, key="k")
            monkeypatch.setattr(launching, "find_by_key", find)
            return None

        monkeypatch.setattr(launching, "find_by_key", find)
        self.refusal_of(lambda: launch_definition("report", self.PARAMS, key="k"))


class TestLaunch:
    """``definition.launch(…)``, and a call of the definition."""

    def test_both_record_definition_and_parameters(self, django_user_model):
        definition = get_definition("report")
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

    def test_a_parameter_with_the_name_of_an_option(self):
        def keyed(key: str, name: str) -> TaskTree:
            return TaskTree(name)

        run = register_tree(keyed).launch(key="a parameter", name="n", draft=True).run
        assert (run.key, run.params, run.state) == (None, {"key": "a parameter", "name": "n"}, "DRAFT")

    def test_an_unknown_parameter_is_refused(self):
        with pytest.raises(InvalidParameter, match="no parameter 'kee'"):
            get_definition("report").launch(day="2026-05-01", numbers=[], kee="k")

    async def run_later(self, definition):
        return await definition.alaunch(day="2026-05-01", numbers=[])

    def test_alaunch(self):
        assert async_to_sync(self.run_later)(get_definition("report")).run.definition == "report"

    def test_a_copy_keeps_the_definition_and_the_parameters(self):
        copied = get_definition("report").launch(day="2026-05-01", numbers=[]).copy(full=True).run
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
def test_a_run_without_a_name_is_named_after_its_root_nodes(add, name):
    tree = TaskTree()
    for task in add:
        tree.add_task(task, [1, 2] if task is tasks.add else [1])
    assert tree.apply_async(draft=True).run.name == name


def test_an_invalid_launch_stores_nothing():
    register_tree("nothing")(lambda: None)  # type: ignore[arg-type, return-value]
    for name, params, error in [
        ("raport", {}, UnknownDefinition),
        ("report", {"day": "soon", "numbers": [], "x": 1}, InvalidParameter),
        ("nothing", {}, InvalidDefinition),
    ]:
        with pytest.raises(error):
            launch_definition(name, params)
    prepare("report", {"day": "2026-05-01", "numbers": []})
    assert not TreeRun.objects.exists()


def test_text_and_json_may_be_mixed_and_text_takes_precedence():
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
