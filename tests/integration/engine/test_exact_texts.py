"""Keys, names and tasks are compared character by character, independent of the default collation of a database."""

import pytest
from django.apps import apps
from django.db import connections, models

from django_tasktree import TaskTree
from django_tasktree.exceptions import InvalidText
from django_tasktree.models import NodeRun, TreeRun
from tests.sample.tasks import echo

LONGEST = "k" * 199
#: Keys that are equal to the first of each row in the default collations of MariaDB and MySQL.
ALIKE = [
    ("Order", "order", "ORDER", "\u00d6rder", "O\u0308rder", "order ", "order  ", "\uff4frder", "order\u00ad"),
    ("stra\u00dfe", "strasse", "STRASSE"),
    (f"{LONGEST}a", f"{LONGEST}A", f"{LONGEST}\u00e1", f"{LONGEST} ", LONGEST),
    ("\U0001f600", "\U0001f601"),
]


@pytest.mark.parametrize("keys", ALIKE, ids=["order", "sharp s", "longest", "emoji"])
def test_each_key_launches_its_own_run(database, keys):
    tree = TaskTree()
    tree.add_task(echo, [1])
    runs = [tree.apply_async(key=key) for key in keys]
    assert len({run.id for run in runs}) == len(keys)
    assert [tree.apply_async(key=key).id for key in keys] == [run.id for run in runs]
    for key, run in zip(keys, runs, strict=True):
        assert TreeRun.objects.get(key=key).id == run.id


@pytest.mark.parametrize("field", ["name", "definition"])
def test_lookups_are_exact(database, field):
    for keys in ALIKE:
        TreeRun.objects.bulk_create(TreeRun(**{field: key}) for key in keys)
    for key in {key for keys in ALIKE for key in keys}:
        assert TreeRun.objects.filter(**{field: key}).count() == 1


def test_tasks_are_compared_exactly(database):
    tree = TaskTree()
    tree.add_task(echo, [1])
    node = NodeRun.objects.get(run=tree.apply_async().id)
    assert NodeRun.objects.filter(task=node.task).exists()
    assert not NodeRun.objects.filter(task__in=[node.task.upper(), f"{node.task} "]).exists()


def test_search_ignores_case(database):
    run = TreeRun.objects.create(name="Nightly 100%", key="Orders_1")
    for found in ("NIGHTLY", "nightly 100%", "0%"):
        assert TreeRun.objects.filter(name__icontains=found).get() == run
    assert TreeRun.objects.filter(key__icontains="oRDERS_").get() == run
    assert not TreeRun.objects.filter(key__icontains="order_").exists()


@pytest.mark.parametrize("text", ["a\x00", "a\ud800"], ids=["nul", "surrogate"])
def test_queries_refuse_texts_that_no_row_can_contain(database, text):
    for lookup in ({"key": text}, {"key__in": ["a", text]}, {"key__gt": text}):
        with pytest.raises(InvalidText, match="the value of key contains"):
            TreeRun.objects.filter(**lookup).exists()


def test_every_char_field_is_exact():
    for model in apps.get_app_config("django_tasktree").get_models():
        texts = [field for field in model._meta.local_fields if isinstance(field, models.CharField)]
        assert [field.name for field in texts if type(field).__name__ != "ExactCharField"] == []


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_the_columns_have_an_exact_collation(database):
    """The columns have a collation of their own, which differs from the database's default."""
    with connections[database].cursor() as cursor:
        cursor.execute("SELECT @@collation_database")
        assert not cursor.fetchone()[0].endswith("_bin"), "the test is about databases whose default is not exact"
        cursor.execute(
            "SELECT DISTINCT collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
            " AND data_type = 'varchar' AND table_name LIKE %s",
            ["django_tasktree%"],
        )
        assert cursor.fetchall() == (("utf8mb4_nopad_bin",),)
