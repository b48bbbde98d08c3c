"""Model instances, paths and members of enumerations as arguments and results, and objects that are refused."""

import enum
from datetime import date
from decimal import Decimal
from pathlib import Path, PurePosixPath

import pytest
from celery.result import AsyncResult
from django.contrib.auth.models import Group, User
from django.db import connections, models
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy

from django_tasktree import TaskTree, TreeResult
from django_tasktree.control.operations import complete
from django_tasktree.encoding import serialization
from django_tasktree.exceptions import RowNotFound, SerializationError
from django_tasktree.models import NodeRun
from django_tasktree.testing import run_tree
from tests import celery_settings
from tests.orders.models import Parcel, Seat
from tests.sample import stand_in_tasks as tasks
from tests.sample.stand_in_tasks import Colour, Permission, Size, Status
from tests.sample.tasks import echo, fail

VALUES = [
    Path("/srv/data"),
    Colour.RED,
    Status.PAID,
    Size.LARGE,
    Permission.READ | Permission.WRITE,
    {"nested": [Path("a"), {"deeper": Colour.GREEN}], "plain": [1, None, "x"]},
    [Decimal("1.5"), date(2026, 5, 1)],
]


def same(one, other):
    """Return whether two values are equal and of the same types; members of some enumerations equal texts."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@pytest.fixture(params=["json", "pickle"])
def serializer(request, app):
    if request.param == "json":
        yield "json"
        return
    values = {"accept_content": ["json", "pickle"], "task_serializer": "pickle", "result_serializer": "pickle"}
    with celery_settings.changed(app, **values):
        yield "pickle"


class TestValues:
    @pytest.mark.parametrize("value", VALUES, ids=repr)
    def test_a_value_as_argument_and_result(self, database, eager, serializer, value):
        tree = TaskTree()
        node = tree.add_task(tasks.described, [value], {"again": value})
        node.add_task(tasks.described, [node.output])
        result = tree.apply_async()
        assert same(result[node].get(), value), result[node].get()
        assert same(result.children[0].children[0].get(), value)

    def test_any_path_becomes_a_path_of_the_platform(self, database, eager):
        tree = TaskTree()
        tree.add_task(tasks.described, [PurePosixPath("a/b")])
        assert same(tree.apply_async().children[0].get(), Path("a/b"))

    def test_rows_as_arguments_and_results(self, database, eager, serializer):
        group, user = Group.objects.create(name="g"), User.objects.create(username="u")
        tree = TaskTree()
        node = tree.add_task(
            tasks.described, [[group, {"user": user}, group]], {"again": [group, {"user": user}, group]}
        )
        result = tree.apply_async()
        assert result[node].get() == [group, {"user": user}, group]
        assert result[node].get()[0].name == "g"

    def test_a_row_is_fetched_when_the_node_starts(self, database, world):
        group = Group.objects.create(name="at first")
        tree = TaskTree()
        node = tree.add_task(tasks.name_of, [group])
        result = tree.apply_async()
        Group.objects.update(name="now")
        world.deliver_all("w")
        assert result[node].get() == "now"

    def test_request_user(self, database, eager):
        """``request.user`` is a lazy object that loads the row on first access."""
        user = User.objects.create(username="u")
        tree = TaskTree()
        tree.add_task(tasks.described, [SimpleLazyObject(lambda: user)])
        assert tree.apply_async().children[0].get() == user

    def test_rows_of_one_model_take_one_query(self, database, eager):
        groups = [Group.objects.create(name=str(number)) for number in range(20)]

        def statements(rows):
            tree = TaskTree()
            tree.add_task(tasks.names_of, [rows])
            with CaptureQueriesContext(connections[database]) as queries:
                assert tree.apply_async().children[0].state == "SUCCESS"
            return len(queries)

        assert statements(groups) == statements(groups[:1]) == statements([]) + 1

    def test_a_row_with_a_uuid_as_its_key(self, database, eager):
        run = TreeResult(TaskTree().apply_async().id).run
        tree = TaskTree()
        tree.add_task(tasks.described, [run])
        assert tree.apply_async().children[0].get() == run

    def test_arguments_of_nodes_that_a_task_adds(self, database, eager):
        group = Group.objects.create(name="g")
        tree = TaskTree()
        node = tree.add_task(tasks.add_with, [group])
        assert [each.get() for each in tree.apply_async()[node].children] == [group]

    def test_arguments_of_a_retry(self, database, world, serializer):
        group = Group.objects.create(name="g")
        tree = TaskTree()
        node = tree.add_task(tasks.retry_with_row, [group.name])
        result = tree.apply_async()
        world.deliver_all("w")
        assert result[node].get() == [group, Path("p")]
        assert result[node].node.has_references

    def test_a_result_from_outside(self, database, eager):
        tree = TaskTree()
        node = tree.add_task(fail)
        node.add_task(tasks.described, [node.output])
        result = tree.apply_async()
        complete(result.id, result[node].id, Path("given"))
        assert same(result[node].children[0].get(), Path("given"))

    def test_copies(self, database, eager):
        group = Group.objects.create(name="g")
        tree = TaskTree()
        tree.add_task(tasks.described, [[group, Colour.RED]])
        assert tree.apply_async().copy().children[0].get() == [group, Colour.RED]

    def test_rows_in_run_tree(self, db):
        group = Group.objects.create(name="g")
        tree = TaskTree()
        tree.add_task(tasks.described, [group])
        assert run_tree(tree).children[0].get() == group

    def test_on_a_worker(self, stack):
        group = Group.objects.create(name="g")
        # The workers of the tests have a single database.
        group._state.db = "default"
        tree = TaskTree()
        node = tree.add_task(tasks.described, [[group, Colour.RED, Path("a")]])
        below = node.add_task(tasks.described, [node.output])
        result = tree.apply_async()
        result.wait(timeout=60)
        assert not result[node].node.traceback, result[node].node.traceback
        row = result[below].node
        assert row.result == serialization.write([group, Colour.RED, Path("a")], "max_args_size"), row.traceback
        celerys = AsyncResult(str(result[node].node.task_id)).get(timeout=60)
        assert celerys == [group.pk, "red", "a"]


class TestMissing:
    def test_a_deleted_row_fails_the_node_with_a_clear_error(self, database, world):
        group = Group.objects.create(name="g")
        tree = TaskTree()
        node = tree.add_task(tasks.described, [group])
        result = tree.apply_async()
        key = group.pk
        group.delete()
        world.deliver_all("w")
        row = result[node].node
        assert (row.state, row.error_type) == ("FAILURE", "django_tasktree.exceptions.RowNotFound")
        assert f"no auth.Group has the primary key {key} in database" in row.error_message

    def test_a_deleted_row_in_a_result(self, database, eager):
        group = Group.objects.create(name="g")
        tree = TaskTree()
        tree.add_task(tasks.described, [group])
        result = tree.apply_async()
        group.delete()
        with pytest.raises(RowNotFound, match=r"no auth\.Group has the primary key"):
            result.children[0].get()

    @pytest.mark.parametrize(
        ("stored", "text"),
        [
            ('["tests.sample.stand_in_tasks", "Colour", "BLUE"]', "has no member 'BLUE'"),
            ('["tests.sample.stand_in_tasks", "Gone", "RED"]', "has no enumeration Gone"),
            ('["antigravity", "Gone", "RED"]', "antigravity has no enumeration Gone, or is not imported here"),
            ('["os", "system", "true"]', "os has no enumeration system"),
        ],
    )
    def test_an_unknown_enumeration(self, database, eager, stored, text):
        """The content of a row never decides what is imported or called."""
        tree = TaskTree()
        tree.add_task(tasks.described, [1])
        result = tree.apply_async()
        NodeRun.objects.update(result=f'{{"__type__": "tasktree-enum", "__value__": {stored}}}')
        with pytest.raises(SerializationError, match=text):
            result.children[0].get()

    def test_an_unknown_model_or_database(self, database, eager):
        tree = TaskTree()
        tree.add_task(tasks.described, [1])
        result = tree.apply_async()
        for stored, text in [('["auth.Crowd", 1, "default"]', "no model"), ('["auth.Group", 1, "moon"]', "'moon'")]:
            NodeRun.objects.update(result=f'{{"__type__": "tasktree-row", "__value__": {stored}}}')
            with pytest.raises(RowNotFound, match=text):
                result.children[0].get()


def local_enumeration():
    class Local(enum.Enum):
        A = [1]

    return Local.A


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (lambda: Group(name="new"), "this auth.Group is not saved, so the worker could not find it: save it first"),
            (
                lambda: Group.objects.all(),
                r"it is a QuerySet of auth.Group, .*: pass its rows, list\(…\), or their keys",
            ),
            (lambda: Parcel.objects, "it is a Manager of orders.Parcel"),
            (lambda: gettext_lazy("Order"), r"it is a lazy translation: pass str\(…\) of it"),
            (
                local_enumeration,
                r".*Local can't be found by its name: define it at the top of a module, or pass A\.value",
            ),
            (lambda: TaskTree().add_task(echo), "it is a node: pass its output, node.output"),
            (TaskTree, "it is a tree: pass the results of its nodes, tree.outputs"),
            (lambda: {1, 2}, "it is a set: pass a list"),
            (lambda: iter([1]), "it is an iterator: pass a list"),
            (lambda: RequestFactory().get("/"), "it is a request: pass only the values that the task needs"),
            (lambda: object(), "a value of type builtins.object can't be written as JSON: use types that JSON"),
            (
                lambda: lambda: 1,
                r"it is the function tests\.integration\..*<lambda>: call it in the task",
            ),
            (lambda: len, r"it is the function builtins\.len: call it in the task, and pass the data that it needs"),
            (lambda: echo, r"it is the task tests\.sample\.tasks\.echo: pass its name"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    @pytest.mark.parametrize("nested", [False, True])
    def test_the_error_names_the_argument_and_the_remedy(self, database, value, text, nested):
        tree = TaskTree()
        argument = [1, {"key": value()}] if nested else value()
        place = r"\[1\]\['key'\]" if nested else ""
        tree.add_task(tasks.described, [argument])
        with pytest.raises(
            SerializationError, match=rf"^the argument 'value'{place} of task '[\w.]+' can't be stored: {text}"
        ):
            tree.apply_async()
        tree = TaskTree()
        tree.add_task(tasks.described, [1], {"again": argument})
        with pytest.raises(SerializationError, match=rf"^the argument 'again'{place} of task"):
            tree.apply_async()
        assert not NodeRun.objects.exists()

    def test_arguments_without_a_name(self, database):
        tree = TaskTree()
        tree.add_task(tasks.anything, [1, 2, {3}])
        with pytest.raises(SerializationError, match="the argument number 3 of task"):
            tree.apply_async()

    def test_a_key_that_is_not_text(self, database):
        tree = TaskTree()
        tree.add_task(tasks.described, [{(1, 2): 3}])
        with pytest.raises(SerializationError, match=r"the args of node .* can't be stored: .*keys must be"):
            tree.apply_async()

    def test_a_composite_primary_key(self, database):
        seat = Seat(row=1, number=2)
        seat._state.adding = False
        tree = TaskTree()
        tree.add_task(tasks.described, [seat])
        with pytest.raises(SerializationError, match="composite primary key: pass the values of the key"):
            tree.apply_async()

    def test_a_lazy_translation_as_result_becomes_text_as_in_celery(self, database, eager):
        tree = TaskTree()
        tree.add_task(tasks.translated)
        assert tree.apply_async().children[0].get() == "Order"

    def test_members_that_are_texts_need_no_importable_class(self, database, eager):
        class Local(models.TextChoices):
            A = "a"

        tree = TaskTree()
        tree.add_task(tasks.described, [Local.A])
        assert tree.apply_async().children[0].get() == "a"

    def test_options_of_messages_are_unchanged(self, database, eager):
        tree = TaskTree()
        tree.add_task(echo, [1], queue=Status.PAID, priority=Size.LARGE)
        assert tree.apply_async().children[0].node.options == '{"queue": "paid", "priority": 2}'


def test_stand_ins_are_shown_on_pages_and_terminals(database, eager, admin_client):
    from django.core.management import call_command

    from django_tasktree.admin.tree.values import StoredValue
    from django_tasktree.management.display.labels import call_label
    from django_tasktree.reporting.call_texts import call_text

    group = Group.objects.create(name="g")
    tree = TaskTree()
    tree.add_task(tasks.given, [[group, Colour.RED, Path("a b")]], {"again": Status.PAID})
    row = tree.apply_async().children[0].node
    assert call_text(row.task, row.args, row.kwargs) == (
        f'given([auth.Group {group.pk}, Colour.RED, "a b"], again=Status.PAID)'
    )
    assert call_label(row.task, row.args, row.kwargs) == (
        f'given([auth.Group {group.pk}, Colour.RED, "a b"], again=Status.PAID)'
    )
    assert StoredValue.of(row.result).text == f'["auth.Group {group.pk}", "Colour.RED", "a b"]'  # type: ignore[arg-type]
    call_command("tasktree", "show", str(row.run_id), "--format", "json")
