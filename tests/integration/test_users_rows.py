"""Rows of users' models that refer to runs and nodes: what deletes a run obeys their on_delete, as Django does."""

import json
import random
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connections, models, transaction
from django.db.models.signals import post_delete, pre_delete
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_tasktree import TaskTree
from django_tasktree.admin import copy_and_delete
from django_tasktree.engine import sql
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import HistoryEntry, NodeAttempt, NodeRun, TreeRun
from django_tasktree.purging import delete_runs, old_runs, purge_runs
from django_tasktree.sweeping import sweep, sweep_if_due
from tests.integration.sweeping.test_one_sweeper import keeper
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
from tests.sample.tasks import echo, flaky, grow

OURS = [TreeRun, NodeRun, NodeAttempt, HistoryEntry]
USERS = [
    Nulled,
    Cascaded,
    Order,
    Order.earlier.through,
    OrderLine,
    Invoice,
    Protecting,
    Restricting,
    Defaulted,
    SpecialRun,
]


def a_run(days=60, task=echo):
    tree = TaskTree()
    top = tree.add_task(task, [1])
    top.add_task(echo, ["below"]).add_task(echo, ["at the bottom"])
    result = tree.apply_async(key=f"run {random.random()}")
    TreeRun.objects.filter(id=result.id).update(finished_at=timezone.now() - timedelta(days=days))
    HistoryEntry.objects.create(run_id=result.id, node_id=result.children[0].id, action="skip")
    return TreeRun.objects.get(id=result.id)


def node_of(run):
    return run.nodes.order_by("id").last()


def purged():
    steps = list(purge_runs(old_runs(timedelta(days=30))))
    return sum(step.runs for step in steps), [kept for step in steps for kept in step.kept]


def content(models=(*OURS, *USERS)):
    """All rows, but for what says that somebody has looked at a run."""
    return {
        model._meta.label: sorted(
            str({name: value for name, value in row.items() if name != "revision"}) for row in model.objects.values()
        )
        for model in models
    }


@contextmanager
def receiving(signal, receiver, sender=None):
    signal.connect(receiver, sender=sender, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


@contextmanager
def undone(alias):
    """Roll back what the block does."""
    with transaction.atomic(using=alias):
        yield
        transaction.set_rollback(True, using=alias)


def by_django(run):
    """What Django's own deletion of a run leaves, or None where it refuses."""
    with undone(run._state.db):
        try:
            TreeRun.objects.get(id=run.id).delete()
        except (models.ProtectedError, models.RestrictedError):
            return None
        return content()


class TestOneRun:
    def test_set_null(self, database, eager):
        run = a_run(task=flaky)
        attempt, entry = NodeAttempt.objects.get(), HistoryEntry.objects.get()
        row = Nulled.objects.create(run=run, node=node_of(run), attempt=attempt, history=entry)
        assert purged() == (1, [])
        row.refresh_from_db()
        assert (row.run_id, row.node_id, row.attempt_id, row.history_id) == (None, None, None, None)

    def test_cascade(self, database, eager):
        run = a_run()
        Cascaded.objects.create(run=run)
        Cascaded.objects.create(node=node_of(run))
        kept = Cascaded.objects.create()
        OrderLine.objects.create(order=Order.objects.create(run=run))
        Order.objects.create().earlier.add(run)
        assert purged() == (1, [])
        assert Cascaded.objects.get() == kept
        assert (Order.objects.count(), OrderLine.objects.count(), Order.earlier.through.objects.count()) == (1, 0, 0)

    @pytest.mark.parametrize("what", ["run", "node", "invoice", "restricted"])
    def test_what_is_kept_stays_whole(self, database, eager, what):
        run = a_run(task=flaky)
        node = node_of(run)
        make = {
            "run": lambda: Protecting.objects.create(run=run),
            "node": lambda: Protecting.objects.create(node=node),
            "invoice": lambda: Invoice.objects.create(order=Order.objects.create(node=node)),
            "restricted": lambda: Restricting.objects.create(node=node),
        }
        make[what]()
        Cascaded.objects.create(node=node)
        before = content()
        runs, (kept,) = purged()
        assert (runs, kept.run_id, kept.error) == (0, run.id, None)
        assert ("orders." if what != "invoice" else "Invoice.order") in kept.reason
        assert content() == before

    def test_restrict_lets_go_what_goes_anyway(self, database, eager):
        run = a_run()
        Restricting.objects.create(run=run, node=node_of(run))
        assert purged() == (1, [])
        assert not Restricting.objects.exists()

    def test_what_the_database_refuses_stays_whole(self, database, eager):
        run = a_run(task=flaky)
        Unmanaged.objects.create(node=node_of(run))
        Cascaded.objects.create(run=run)
        before = content()
        runs, (kept,) = purged()
        assert (runs, kept.run_id, isinstance(kept.error, IntegrityError)) == (0, run.id, True)
        assert content() == before

    def test_a_model_that_inherits_from_ours(self, database, eager):
        run = a_run()
        SpecialRun(treerun_ptr=run, note="special").save_base(raw=True)
        assert purged() == (1, [])
        assert not SpecialRun.objects.exists()
        assert not NodeRun.objects.exists()

    def test_as_django_does(self, database, eager):
        """Random rows of all kinds: what is left is what Django's own deletion leaves."""
        for seed in range(12):
            chance = random.Random(seed)
            runs = [a_run() for _ in range(3)]
            nodes = [node for run in runs for node in run.nodes.all()]
            kinds = [Nulled, Cascaded, Order, Restricting, Defaulted, *([Protecting] if seed % 3 == 0 else [])]
            for _ in range(8):
                row = chance.choice(kinds).objects.create(
                    run=chance.choice([None, *runs]), node=chance.choice([None, *nodes])
                )
                if isinstance(row, Order):
                    row.earlier.set(chance.sample(runs, 2))
                    OrderLine.objects.create(order=row)
                    if seed % 4 == 0:
                        Invoice.objects.create(order=row)
            for run in runs:
                expected = by_django(run)
                deleted = delete_runs([run.id])
                assert (deleted.runs == 0) is (expected is None), (seed, deleted)
                if expected is not None:
                    assert content() == expected, seed
            for model in [Invoice, OrderLine, Order, Protecting, Restricting, Cascaded, Nulled, Defaulted]:
                model.objects.all().delete()
            TreeRun.objects.all().delete()


class TestManyRuns:
    def test_the_trouble_of_one_is_not_that_of_others(self, database, eager):
        runs = [a_run() for _ in range(5)]
        Protecting.objects.create(run=runs[0])
        Invoice.objects.create(order=Order.objects.create(node=node_of(runs[2])))
        Unmanaged.objects.create(node=node_of(runs[3]))
        number, kept = purged()
        assert number == 2
        assert {each.run_id for each in kept} == {runs[0].id, runs[2].id, runs[3].id}
        assert set(TreeRun.objects.values_list("id", flat=True)) == {runs[0].id, runs[2].id, runs[3].id}
        assert NodeRun.objects.count() == 9

    @pytest.mark.parametrize("batch", [1, 2, 500])
    def test_what_is_kept_is_passed_by(self, database, eager, settings, batch):
        settings.TASKTREE = {"BATCH_SIZE": batch}
        runs = [a_run(days=60 - number) for number in range(4)]
        Protecting.objects.create(run=runs[0])
        Protecting.objects.create(node=node_of(runs[2]))
        number, kept = purged()
        assert (number, [each.run_id for each in kept]) == (2, [runs[0].id, runs[2].id])

    def test_runs_that_ended_at_the_same_time(self, database, eager, settings):
        settings.TASKTREE = {"BATCH_SIZE": 2}
        runs = [a_run() for _ in range(5)]
        TreeRun.objects.update(finished_at=timezone.now() - timedelta(days=40))
        Protecting.objects.create(run=runs[1])
        number, kept = purged()
        assert (number, len(kept), TreeRun.objects.get().id) == (4, 1, runs[1].id)

    def test_protected_runs_cost_no_query_each(self, database, eager):
        def statements():
            with CaptureQueriesContext(connections[database]) as queries:
                purged()
            return len(queries)

        Protecting.objects.create(run=a_run())
        one = statements()
        for _ in range(10):
            Protecting.objects.create(node=node_of(a_run()))
        assert statements() == one

    def test_rows_that_nobody_wants_to_see_are_not_loaded(self, database, eager):
        run = a_run()
        for _ in range(20):
            Cascaded.objects.create(run=run)
            Nulled.objects.create(node=node_of(run))
        with CaptureQueriesContext(connections[database]) as queries:
            assert purged() == (1, [])
        assert len(queries) < 45
        columns = Cascaded._meta.get_field("node").column
        assert not any(q["sql"].startswith("SELECT") and f"cascaded`.`{columns}" in q["sql"] for q in queries)


class TestReceivers:
    def test_they_are_called_for_each_row_as_django_does(self, database, eager):
        run = a_run(task=flaky)
        Cascaded.objects.create(node=node_of(run))

        def seen(delete):
            calls = []

            def receiver(sender, instance, using, **more):
                assert (using, more.keys() >= {"signal", "origin"}) == (database, True)
                calls.append((more["signal"] is pre_delete, sender.__name__, instance.pk))

            with receiving(pre_delete, receiver), receiving(post_delete, receiver):
                delete()
            return sorted(calls, key=str)

        def roll_back():
            with undone(database):
                TreeRun.objects.get().delete()

        by_us = seen(lambda: undone_purge(database))
        assert by_us == seen(roll_back)
        assert {name for _, name, _ in by_us} == {"TreeRun", "NodeRun", "NodeAttempt", "HistoryEntry", "Cascaded"}

    @pytest.mark.parametrize("signal", [pre_delete, post_delete])
    @pytest.mark.parametrize("sender", [TreeRun, NodeRun, NodeAttempt, HistoryEntry, Cascaded, OrderLine])
    def test_one_that_raises_keeps_its_run_whole(self, database, eager, signal, sender):
        bad, good = a_run(task=flaky), a_run()
        for run in (bad,):
            Cascaded.objects.create(node=node_of(run))
            OrderLine.objects.create(order=Order.objects.create(run=run))
        HistoryEntry.objects.filter(run=good).delete()
        belongs = {
            TreeRun: lambda row: row.pk == bad.pk,
            NodeRun: lambda row: row.run_id == bad.pk,
        }.get(sender, lambda row: True)

        def receiver(instance, **_):
            if belongs(instance):
                raise ValueError("not this one")

        before = content()
        with receiving(signal, receiver, sender):
            runs, (kept,) = purged()
        assert (runs, kept.run_id, kept.reason) == (1, bad.id, "ValueError: not this one")
        after = content()
        assert after["django_tasktree.TreeRun"] == [
            row for row in before["django_tasktree.TreeRun"] if str(good.id) not in row
        ]
        assert TreeRun.objects.get().id == bad.id
        assert [len(after[name]) for name in ("orders.Cascaded", "orders.Order", "orders.OrderLine")] == [1, 1, 1]
        assert (NodeRun.objects.count(), NodeAttempt.objects.count()) == (3, 1)


def undone_purge(alias):
    with undone(alias):
        assert purged() == (1, [])


class TestNodesOfRunsThatStay:
    def run_with_grown_nodes(self):
        tree = TaskTree()
        top = tree.add_task(grow, [2, 1])
        result = tree.apply_async()
        return result, result[top]

    def test_grown_nodes_go_as_on_delete_says(self, database, eager):
        _, top = self.run_with_grown_nodes()
        row = Nulled.objects.create(node_id=top.children[0].id)
        Cascaded.objects.create(node_id=top.children[1].id)
        top.rerun()
        row.refresh_from_db()
        assert row.node_id is None
        assert not Cascaded.objects.exists()

    def test_a_protected_one_refuses_the_action(self, database, eager):
        result, top = self.run_with_grown_nodes()
        Protecting.objects.create(node_id=top.children[0].id)
        before = content()
        with pytest.raises(NotPossible, match=r"Protecting\.node"):
            top.rerun()
        assert content() == before
        assert result.state == "SUCCESS"


class TestSweep:
    def test_it_goes_on_behind_what_is_kept(self, database, app, eager, settings, monkeypatch):
        settings.TASKTREE = {"RETENTION": 30, "BATCH_SIZE": 1, "SWEEP_INTERVAL": 0}
        runs = [a_run(days=60 - number) for number in range(6)]
        for run in runs[:4]:
            Protecting.objects.create(run=run)
        worker = keeper(app)
        left = []
        for _ in range(8):
            # Time for one step.
            monkeypatch.setattr("django_tasktree.sweeping.passes.LONGEST", 0)
            sweep_if_due(worker)
            left.append(TreeRun.objects.count())
        assert left[-1] == 4
        # What was kept is tried again: one is free now.
        Protecting.objects.filter(run=runs[1]).delete()
        for _ in range(8):
            sweep_if_due(worker)
        assert set(TreeRun.objects.values_list("id", flat=True)) == {runs[0].id, runs[2].id, runs[3].id}

    def test_a_run_that_can_not_go_is_an_error_and_no_more(self, database, eager, settings, caplog):
        settings.TASKTREE = {"RETENTION": 30}
        bad, _ = a_run(), a_run()
        Unmanaged.objects.create(node=node_of(bad))
        swept = sweep()
        assert (swept.purged, swept.errors) == (1, 1)
        assert f"run {bad.id} could not be deleted: IntegrityError" in caplog.text

    def test_a_protected_one_is_no_error(self, database, eager, settings):
        settings.TASKTREE = {"RETENTION": 30}
        Protecting.objects.create(run=a_run())
        swept = sweep()
        assert (swept.purged, swept.errors) == (0, 0)


class TestCommand:
    def call(self, *more):
        output = StringIO()
        call_command("tasktree", "purge", "--older-than", "30d", *more, stdout=output)
        return output.getvalue()

    def test_it_names_what_is_kept(self, database, eager):
        run, _ = a_run(), a_run()
        Protecting.objects.create(node=node_of(run))
        assert self.call().splitlines() == [
            "Deleted 1 run with 3 nodes.",
            f"Kept run {run.id}: it is referenced through the protected foreign key orders.Protecting.node",
        ]

    def test_as_json(self, database, eager):
        run = a_run()
        Protecting.objects.create(run=run)
        assert list(json.loads(self.call("--format", "json"))["kept"]) == [str(run.id)]

    def test_what_fails_is_an_error(self, database, eager):
        Unmanaged.objects.create(node=node_of(a_run()))
        with pytest.raises(CommandError, match=r"1 run could not be deleted"):
            self.call()


def test_tables_of_another_database_are_not_asked(database, eager, monkeypatch):
    """As in a project that keeps runs in a database of their own."""
    from tests.databases import ActiveDatabase

    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return app_label != "orders"

    monkeypatch.setattr(ActiveDatabase, "allow_migrate", allow_migrate, raising=False)
    run = a_run()
    row = Protecting.objects.create(run=run)
    table = Protecting._meta.db_table
    with CaptureQueriesContext(connections[database]) as queries:
        assert len(purged()[1]) == 1
    assert not any(table in query["sql"] for query in queries)
    assert row.pk
    assert sql.connection().alias == database


class TestAdmin:
    def page(self, run):
        return reverse("admin:django_tasktree_treerun_control", args=[run.pk, "delete"])

    def delete(self, client, run):
        response = client.post(self.page(run), {"confirmed": "yes"}, follow=True)
        return [str(message) for message in response.context["messages"]]

    def test_it_says_what_goes_along(self, transactional_db, eager, admin_client):
        run = a_run()
        OrderLine.objects.create(order=Order.objects.create(run=run))
        Cascaded.objects.bulk_create(Cascaded(run=run) for _ in range(2))
        asked = admin_client.get(self.page(run)).content.decode()
        assert "3 nodes" in asked
        assert "2 cascadeds" in asked
        assert "1 order line" in asked
        assert self.delete(admin_client, run) == ["Delete: 1 run."]
        assert not Order.objects.exists()

    @pytest.mark.parametrize("at_once", [1, 20_000])
    def test_a_protected_run_is_refused(self, transactional_db, eager, admin_client, monkeypatch, at_once):
        monkeypatch.setattr(copy_and_delete, "AT_ONCE", at_once)
        run = a_run()
        Invoice.objects.create(order=Order.objects.create(node=node_of(run)))
        before = content()
        assert "Invoice.order" in admin_client.get(self.page(run)).content.decode()
        (text,) = self.delete(admin_client, run)
        assert "Invoice.order" in text
        assert content() == before
        assert not LogEntry.objects.exists()

    def test_a_receiver_that_raises_is_shown(self, transactional_db, eager, admin_client):
        run = a_run()

        def receiver(**_):
            raise ValueError("not now")

        with receiving(pre_delete, receiver, NodeRun):
            (text,) = self.delete(admin_client, run)
        assert "ValueError: not now" in text
        assert NodeRun.objects.count() == 3

    def test_whoever_may_not_delete_what_goes_along(self, transactional_db, eager, client, django_user_model):
        user = django_user_model.objects.create_user("clerk", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=["delete_treerun", "view_treerun"]))
        client.force_login(user)
        run = a_run()
        Order.objects.create(run=run)
        admin.site.register(Order)
        try:
            (text,) = self.delete(client, run)
            assert "permission to delete what goes with it: orders" in text
            assert TreeRun.objects.exists()
        finally:
            admin.site.unregister(Order)
        assert self.delete(client, run) == ["Delete: 1 run."]
