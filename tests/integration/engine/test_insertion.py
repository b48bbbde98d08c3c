"""Nodes are inserted without the ORM: the same rows, all or none, in flat memory."""

import random
import tracemalloc
import uuid
from datetime import datetime, timedelta, timezone

import pytest
from django.db import DatabaseError, IntegrityError, connections, models, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from django_tasktree import TaskTree
from django_tasktree.builder.plan import plan_nodes
from django_tasktree.encoding import times
from django_tasktree.encoding.ids import new_id
from django_tasktree.engine.backends import backend, postgresql
from django_tasktree.engine.lifecycle.launch import launch
from django_tasktree.engine.statement_limits import limited_statements
from django_tasktree.engine.types import Placement, RunSpec
from django_tasktree.exceptions import BrokenReference, InvalidText, KeyInUse, SerializationError
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.engine.trees import insert_run, tree_of
from tests.sample.tasks import echo, total

FIELDS = NodeRun._meta.concrete_fields
TEXTS = [
    "",
    "plain",
    "\\N",
    "\\.",
    "a\tb\nc\rd\\e",
    "100%s %(x)s {node}",
    "'\"`$$;--",
    "\u00e9\U0001f600\u2028",
    "\x01",
]


@pytest.fixture(params=["many", "few"])
def way(request, monkeypatch):
    """Use the statement for many rows, and that for few; both are the same except on PostgreSQL."""
    monkeypatch.setattr(postgresql, "_COPIED", 1 if request.param == "many" else 1_000_000)
    return request.param


def value_of(field, numbers):
    """Return a random value for a field."""
    if field.null and numbers.random() < 0.3:
        return None
    if field.choices:
        return numbers.choice([value for value, _ in field.choices])
    if isinstance(field, models.UUIDField):
        return uuid.UUID(int=numbers.getrandbits(128), version=4)
    if isinstance(field, models.DateTimeField):
        moment = datetime(2026, 3, 29, 0, 30, tzinfo=timezone.utc) + timedelta(microseconds=numbers.randrange(10**11))
        return times.as_stored(moment)
    if isinstance(field, models.BooleanField):
        return numbers.random() < 0.5
    if isinstance(field, models.IntegerField):
        return numbers.choice([0, 1, 32_767])
    return numbers.choice([text for text in TEXTS if len(text) <= (field.max_length or 255)])


def random_rows(count, seed=1):
    numbers = random.Random(seed)
    run = TreeRun.objects.create(state="STARTED")
    rows = []
    for _ in range(count):
        values = {field.attname: value_of(field, numbers) for field in FIELDS}
        parent_id = numbers.choice(rows).id if rows and numbers.random() < 0.7 else None
        rows.append(NodeRun(**values | {"id": new_id(), "run_id": run.id, "parent_id": parent_id}))
    return rows


def columns_of(rows):
    return {field.attname: [getattr(row, field.attname) for row in rows] for field in FIELDS}


def stored(alias):
    """Return all columns of all nodes, as the driver returns them."""
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT * FROM {NodeRun._meta.db_table} ORDER BY id")
        return list(cursor.fetchall())


@pytest.mark.parametrize("use_tz", [True, False])
def test_the_rows_are_those_of_the_orm(database, way, settings, use_tz):
    settings.USE_TZ = use_tz
    settings.TIME_ZONE = "Europe/Berlin"
    rows = random_rows(200)
    NodeRun.objects.bulk_create(rows)
    expected = stored(database)
    NodeRun.objects.all().delete()
    backend().insert_nodes(columns_of(rows))
    assert stored(database) == expected
    assert len({column for row in expected for column in row if isinstance(column, str)} & {*TEXTS}) == len(TEXTS)


def test_columns_that_are_empty_in_all_rows_are_null(database, way):
    run = TreeRun.objects.create(state="STARTED")
    rows = [NodeRun(run_id=run.id, task="t") for _ in range(3)]
    backend().insert_nodes(columns_of(rows))
    assert list(NodeRun.objects.order_by("id").values()) == [
        {field.attname: getattr(row, field.attname) for field in FIELDS} for row in rows
    ]


@pytest.mark.parametrize("text", ["a\x00", "a\ud800"], ids=["nul", "surrogate"])
def test_a_text_that_no_row_can_contain_is_refused(database, way, text):
    rows = random_rows(20)
    rows[-1].error_type = text
    with pytest.raises(InvalidText), transaction.atomic(using=database):
        backend().insert_nodes(columns_of(rows))
    assert stored(database) == []


# SQLite does not limit the length of texts.
@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_text_that_is_too_long_is_an_error_of_the_database(database, way):
    rows = random_rows(20)
    rows[-1].task = "t" * 256
    with pytest.raises(DatabaseError), transaction.atomic(using=database):
        backend().insert_nodes(columns_of(rows))
    assert stored(database) == []


def test_an_id_that_exists_is_an_integrity_error(database, way):
    tree = tree_of(*[[] for _ in range(30)])
    spec = RunSpec()
    rows = list(plan_nodes(tree, Placement(spec.id)))
    rows[-1].id = rows[0].id
    with transaction.atomic(using=database):
        mine = TreeRun.objects.create(state="STARTED")
        with pytest.raises(IntegrityError):
            launch(spec, rows)
        # The caller's transaction can continue.
        assert list(TreeRun.objects.all()) == [mine]
    assert TreeRun.objects.get() == mine
    assert stored(database) == []


class Unstorable:
    """Raises an error when it is to be stored."""


@pytest.mark.parametrize(
    ("add", "error"),
    [
        (lambda tree: tree.add_task(echo, [Unstorable()]), SerializationError),
        (lambda tree: tree.gather(echo, [TaskTree().add_task(echo).output]), BrokenReference),
    ],
    ids=["argument", "reference"],
)
@pytest.mark.parametrize("in_transaction", [False, True])
def test_an_error_at_the_last_node_leaves_nothing(database, settings, add, error, in_transaction):
    settings.TASKTREE = {"BATCH_SIZE": 10}
    tree = tree_of(*[[] for _ in range(35)])
    add(tree)
    if not in_transaction:
        with CaptureQueriesContext(connections[database]) as queries, pytest.raises(error):
            tree.apply_async()
        # The error was found while the nodes before it were inserted.
        assert [query for query in queries if NodeRun._meta.db_table in query["sql"]]
    else:
        with transaction.atomic(using=database):
            mine = TreeRun.objects.create(state="DRAFT")
            with pytest.raises(error):
                tree.apply_async()
            assert stored(database) == []
        assert TreeRun.objects.get() == mine
        mine.delete()
    assert stored(database) == []
    assert not TreeRun.objects.exists()


def test_an_error_in_a_small_tree_is_found_before_the_transaction(database):
    tree = tree_of([], [])
    tree.add_task(echo, [Unstorable()])
    with CaptureQueriesContext(connections[database]) as queries, pytest.raises(SerializationError):
        tree.apply_async()
    assert len(queries) == 0


def test_a_launch_with_a_key_can_be_repeated_while_its_rows_are_made(database, settings, eager):
    settings.TASKTREE = {"BATCH_SIZE": 10}
    tree = tree_of(*[[] for _ in range(35)])
    first = tree.apply_async(key="large")
    assert tree.apply_async(key="large") == first
    tree.children[3].task = total.name
    with pytest.raises(KeyInUse):
        tree.apply_async(key="large")
    assert NodeRun.objects.count() == 35


def test_a_large_tree_runs_as_a_whole(database, settings, eager):
    settings.TASKTREE = {"BATCH_SIZE": 10}
    tree = TaskTree()
    for number in range(35):
        tree.add_task(echo, [number]).add_task(echo, [number])
    tree.gather(total, [tree.outputs])
    result = tree.apply_async()
    assert (result.state, result[tree.children[-1]].get()) == ("SUCCESS", sum(range(35)))


def test_memory_does_not_grow_with_the_tree(database, settings):
    """Beside the keys, which the handle keeps, one batch is in memory."""
    insert_run(tree_of(*[[] for _ in range(600)]))

    def peak(nodes):
        tree = tree_of(*[[] for _ in range(nodes)])
        tracemalloc.start()
        launched, keys = insert_run(tree)
        assert len(keys) == nodes + 1
        assert sum(1 for _ in launched.dispatches) == nodes
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(10_000) - peak(2000) < 8000 * 200


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestCopy:
    """PostgreSQL's COPY behaves like a statement that Django executes."""

    @pytest.fixture(autouse=True)
    def _on_postgresql(self, database): ...

    def statements(self, rows):
        with CaptureQueriesContext(connections["postgresql"]) as queries:
            backend().insert_nodes(columns_of(rows))
        return [query["sql"].split()[0] for query in queries]

    def test_it_is_used_for_many_rows(self):
        assert self.statements(random_rows(postgresql._COPIED)) == ["COPY"]
        assert self.statements(random_rows(postgresql._COPIED - 1)) == ["INSERT"]

    def test_a_driver_without_it_inserts(self, monkeypatch):
        """Like psycopg2, which Django supports too."""
        import psycopg
        from django.db.backends.postgresql.base import CursorDebugWrapper

        monkeypatch.delattr(psycopg.Cursor, "copy")
        monkeypatch.delattr(CursorDebugWrapper, "copy")
        assert self.statements(random_rows(100)) == ["INSERT"]

    def test_wrappers_of_statements_see_it(self):
        seen = []

        def wrapper(execute, sql, params, many, context):
            seen.append((sql.split()[0], len(params), many, context["connection"].alias))
            return execute(sql, params, many, context)

        with connections["postgresql"].execute_wrapper(wrapper):
            backend().insert_nodes(columns_of(random_rows(100)))
        assert seen[-1] == ("COPY", 100, True, "postgresql")

    def test_limits_of_statements_apply(self):
        rows = random_rows(100)
        with limited_statements():
            backend().insert_nodes(columns_of(rows))
        assert len(stored("postgresql")) == 100

    def test_it_is_refused_in_a_broken_transaction(self):
        rows = random_rows(100)
        with transaction.atomic(using="postgresql"):
            transaction.set_rollback(True, using="postgresql")
            with pytest.raises(TransactionManagementError):
                backend().insert_nodes(columns_of(rows))
