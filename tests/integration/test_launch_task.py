"""Launch trees by name: from code, from text, and from celery-beat's message."""

from datetime import date

import pytest

from django_tasktree import TaskTree, TreeResult
from django_tasktree.exceptions import InvalidDefinition, InvalidParameter, UnknownDefinition
from django_tasktree.launching import launch_definition, prepare, prepare_from_text
from django_tasktree.models import TreeRun
from django_tasktree.registry import Registry
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
    prepared = prepare_from_text("report", {"day": "2026-05-01"}, {"numbers": [4], "day": "2026-01-01", "full": True})
    assert prepared.params == {"day": date(2026, 5, 1), "numbers": [4], "full": True}
    assert prepare_from_text("report", {"day": "2026-05-01", "numbers": "1,2"}).params["numbers"] == [1, 2]
    with pytest.raises(InvalidParameter, match=r"'dya'.*did you mean 'day'"):
        prepare_from_text("report", {"dya": "2026-05-01"}, {"numbers": []})


def test_a_message_of_beat_launches_a_tree(app):
    assert app.tasks["django_tasktree.launch"].name == launch.name
    run_id = launch.delay("report", params={"day": "2026-05-01", "numbers": [7]}, key="beat").get()
    assert TreeResult(run_id).join() == ["01.05.2026 7 False"]
    assert isinstance(run_id, str)
    assert launch.delay("report", {"day": "2026-05-01", "numbers": [8]}, "beat").get() == run_id
