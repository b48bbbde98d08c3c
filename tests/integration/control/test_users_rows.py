"""Rows of users' models that refer to runs and nodes: the deletion of a run follows their on_delete, as in Django."""

import random
from datetime import timedelta

import pytest
from django.db import IntegrityError, connections
from django.db.models.signals import post_delete, pre_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.control.purge import delete_runs
from django_tasktree.engine.backends import backend
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun
from tests.integration.control.users_rows import (
    all_rows,
    connect_receiver,
    last_node,
    make_run,
    purge_old_runs,
    roll_back_changes,
    rows_after_djangos_deletion,
)
from tests.orders.models import (
    Cascaded,
    Defaulted,
    Invoice,
    Nulled,
    Order,
    OrderLine,
    Protecting,
    Restricting,
    SpecialRun,
    Unmanaged,
)
from tests.sample.tasks import flaky, grow


class TestOneRun:
    def test_set_null(self, database, eager):
        run = make_run(task=flaky)
        attempt, entry = NodeAttempt.objects.get(), HistoryEntry.objects.get()
        row = Nulled.objects.create(run=run, node=last_node(run), attempt=attempt, history=entry)
        assert purge_old_runs() == (1, [])
        row.refresh_from_db()
        assert (row.run_id, row.node_id, row.attempt_id, row.history_id) == (None, None, None, None)

    def test_cascade(self, database, eager):
        run = make_run()
        Cascaded.objects.create(run=run)
        Cascaded.objects.create(node=last_node(run))
        kept = Cascaded.objects.create()
        OrderLine.objects.create(order=Order.objects.create(run=run))
        Order.objects.create().earlier.add(run)
        assert purge_old_runs() == (1, [])
        assert Cascaded.objects.get() == kept
        assert (Order.objects.count(), OrderLine.objects.count(), Order.earlier.through.objects.count()) == (1, 0, 0)

    @pytest.mark.parametrize("reference", ["run", "node", "invoice", "restricted"])
    def test_a_run_that_is_kept_stays_complete(self, database, eager, reference):
        run = make_run(task=flaky)
        node = last_node(run)
        make = {
            "run": lambda: Protecting.objects.create(run=run),
            "node": lambda: Protecting.objects.create(node=node),
            "invoice": lambda: Invoice.objects.create(order=Order.objects.create(node=node)),
            "restricted": lambda: Restricting.objects.create(node=node),
        }
        make[reference]()
        Cascaded.objects.create(node=node)
        before = all_rows()
        runs, (kept,) = purge_old_runs()
        assert (runs, kept.run_id, kept.error) == (0, run.id, None)
        assert ("orders." if reference != "invoice" else "Invoice.order") in kept.reason
        assert all_rows() == before

    def test_restrict_allows_rows_that_a_cascade_deletes(self, database, eager):
        run = make_run()
        Restricting.objects.create(run=run, node=last_node(run))
        assert purge_old_runs() == (1, [])
        assert not Restricting.objects.exists()

    def test_a_run_that_the_database_refuses_to_delete_stays_complete(self, database, eager):
        run = make_run(task=flaky)
        Unmanaged.objects.create(node=last_node(run))
        Cascaded.objects.create(run=run)
        before = all_rows()
        runs, (kept,) = purge_old_runs()
        assert (runs, kept.run_id, isinstance(kept.error, IntegrityError)) == (0, run.id, True)
        assert all_rows() == before

    def test_a_model_that_inherits_from_tree_run(self, database, eager):
        run = make_run()
        SpecialRun(treerun_ptr=run, note="special").save_base(raw=True)
        assert purge_old_runs() == (1, [])
        assert not SpecialRun.objects.exists()
        assert not NodeRun.objects.exists()

    def test_the_rows_left_are_those_of_djangos_deletion(self, database, eager):
        """Compare with Django's own deletion, for random rows of all models."""
        for seed in range(12):
            rng = random.Random(seed)
            runs = [make_run() for _ in range(3)]
            nodes = [node for run in runs for node in run.nodes.all()]
            kinds = [Nulled, Cascaded, Order, Restricting, Defaulted, *([Protecting] if seed % 3 == 0 else [])]
            for _ in range(8):
                row = rng.choice(kinds)._default_manager.create(
                    run=rng.choice([None, *runs]), node=rng.choice([None, *nodes])
                )
                if isinstance(row, Order):
                    row.earlier.set(rng.sample(runs, 2))
                    OrderLine.objects.create(order=row)
                    if seed % 4 == 0:
                        Invoice.objects.create(order=row)
            for run in runs:
                expected = rows_after_djangos_deletion(run)
                deleted = delete_runs([run.id])
                assert (deleted.runs == 0) is (expected is None), (seed, deleted)
                if expected is not None:
                    assert all_rows() == expected, seed
            for model in [Invoice, OrderLine, Order, Protecting, Restricting, Cascaded, Nulled, Defaulted]:
                model._default_manager.all().delete()
            TreeRun.objects.all().delete()


class TestManyRuns:
    def test_a_run_that_cannot_be_deleted_does_not_keep_others(self, database, eager):
        runs = [make_run() for _ in range(5)]
        Protecting.objects.create(run=runs[0])
        Invoice.objects.create(order=Order.objects.create(node=last_node(runs[2])))
        Unmanaged.objects.create(node=last_node(runs[3]))
        number, kept = purge_old_runs()
        assert number == 2
        assert {each.run_id for each in kept} == {runs[0].id, runs[2].id, runs[3].id}
        assert set(TreeRun.objects.values_list("id", flat=True)) == {runs[0].id, runs[2].id, runs[3].id}
        assert NodeRun.objects.count() == 9

    @pytest.mark.parametrize("batch", [1, 2, 500])
    def test_runs_that_are_kept_are_skipped(self, database, eager, settings, batch):
        settings.TASKTREE = {"BATCH_SIZE": batch}
        runs = [make_run(days=60 - number) for number in range(4)]
        Protecting.objects.create(run=runs[0])
        Protecting.objects.create(node=last_node(runs[2]))
        number, kept = purge_old_runs()
        assert (number, [each.run_id for each in kept]) == (2, [runs[0].id, runs[2].id])

    def test_runs_that_ended_at_the_same_time(self, database, eager, settings):
        settings.TASKTREE = {"BATCH_SIZE": 2}
        runs = [make_run() for _ in range(5)]
        TreeRun.objects.update(finished_at=timezone.now() - timedelta(days=40))
        Protecting.objects.create(run=runs[1])
        number, kept = purge_old_runs()
        assert (number, len(kept), TreeRun.objects.get().id) == (4, 1, runs[1].id)

    def test_the_query_count_is_constant_for_any_number_of_protected_runs(self, database, eager):
        def statements():
            with CaptureQueriesContext(connections[database]) as queries:
                purge_old_runs()
            return len(queries)

        Protecting.objects.create(run=make_run())
        one = statements()
        for _ in range(10):
            Protecting.objects.create(node=last_node(make_run()))
        assert statements() == one

    def test_rows_without_receivers_are_not_loaded(self, database, eager):
        run = make_run()
        for _ in range(20):
            Cascaded.objects.create(run=run)
            Nulled.objects.create(node=last_node(run))
        with CaptureQueriesContext(connections[database]) as queries:
            assert purge_old_runs() == (1, [])
        assert len(queries) < 45
        columns = Cascaded._meta.get_field("node").column
        assert not any(q["sql"].startswith("SELECT") and f"cascaded`.`{columns}" in q["sql"] for q in queries)


class TestReceivers:
    def test_receivers_are_called_for_each_row_as_in_django(self, database, eager):
        run = make_run(task=flaky)
        Cascaded.objects.create(node=last_node(run))

        def seen(delete):
            calls = []

            def receiver(sender, instance, using, **more):
                assert (using, more.keys() >= {"signal", "origin"}) == (database, True)
                calls.append((more["signal"] is pre_delete, sender.__name__, instance.pk))

            with connect_receiver(pre_delete, receiver), connect_receiver(post_delete, receiver):
                delete()
            return sorted(calls, key=str)

        def delete_and_roll_back():
            with roll_back_changes(database):
                TreeRun.objects.get().delete()

        by_purge = seen(lambda: purge_and_roll_back(database))
        assert by_purge == seen(delete_and_roll_back)
        assert {name for _, name, _ in by_purge} == {"TreeRun", "NodeRun", "NodeAttempt", "HistoryEntry", "Cascaded"}

    @pytest.mark.parametrize("signal", [pre_delete, post_delete])
    @pytest.mark.parametrize("sender", [TreeRun, NodeRun, NodeAttempt, HistoryEntry, Cascaded, OrderLine])
    def test_a_receiver_that_raises_keeps_its_run_complete(self, database, eager, signal, sender):
        bad, good = make_run(task=flaky), make_run()
        for run in (bad,):
            Cascaded.objects.create(node=last_node(run))
            OrderLine.objects.create(order=Order.objects.create(run=run))
        HistoryEntry.objects.filter(run=good).delete()
        belongs = {
            TreeRun: lambda row: row.pk == bad.pk,
            NodeRun: lambda row: row.run_id == bad.pk,
        }.get(sender, lambda row: True)

        def receiver(instance, **_):
            if belongs(instance):
                raise ValueError("not this one")

        before = all_rows()
        with connect_receiver(signal, receiver, sender):
            runs, (kept,) = purge_old_runs()
        assert (runs, kept.run_id, kept.reason) == (1, bad.id, "ValueError: not this one")
        after = all_rows()
        assert after["django_tasktree.TreeRun"] == [
            row for row in before["django_tasktree.TreeRun"] if str(good.id) not in row
        ]
        assert TreeRun.objects.get().id == bad.id
        assert [len(after[name]) for name in ("orders.Cascaded", "orders.Order", "orders.OrderLine")] == [1, 1, 1]
        assert (NodeRun.objects.count(), NodeAttempt.objects.count()) == (3, 1)


def purge_and_roll_back(alias):
    with roll_back_changes(alias):
        assert purge_old_runs() == (1, [])


class TestNodesRemovedByRerun:
    def run_with_added_nodes(self):
        tree = TaskTree()
        top = tree.add_task(grow, [2, 1])
        result = tree.apply_async()
        return result, result[top]

    def test_nodes_added_at_runtime_are_deleted_as_on_delete_says(self, database, eager):
        _, top = self.run_with_added_nodes()
        row = Nulled.objects.create(node_id=top.children[0].id)
        Cascaded.objects.create(node_id=top.children[1].id)
        top.rerun()
        row.refresh_from_db()
        assert row.node_id is None
        assert not Cascaded.objects.exists()

    def test_the_action_is_refused_if_a_node_is_protected(self, database, eager):
        result, top = self.run_with_added_nodes()
        Protecting.objects.create(node_id=top.children[0].id)
        before = all_rows()
        with pytest.raises(NotPossible, match=r"Protecting\.node"):
            top.rerun()
        assert all_rows() == before
        assert result.state == "SUCCESS"


def test_tables_of_another_database_are_not_queried(database, eager, monkeypatch):
    """The project keeps its runs in a separate database."""
    from tests.databases import ActiveDatabase

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return app_label != "orders"

    monkeypatch.setattr(ActiveDatabase, "allow_migrate", allow_migrate, raising=False)
    run = make_run()
    row = Protecting.objects.create(run=run)
    table = Protecting._meta.db_table
    with CaptureQueriesContext(connections[database]) as queries:
        assert len(purge_old_runs()[1]) == 1
    assert not any(table in query["sql"] for query in queries)
    assert row.pk
    assert backend().connection.alias == database
