"""The deletion of a run to which rows of users' models refer, in the admin."""

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db.models.signals import pre_delete
from django.urls import reverse

from django_tasktree.admin.pages import control
from django_tasktree.models import NodeRun, TreeRun
from tests.integration.control.users_rows import all_rows, connect_receiver, last_node, make_run
from tests.orders.models import Cascaded, Invoice, Order, OrderLine


def page_of(run):
    return reverse("admin:django_tasktree_treerun_control", args=[run.pk, "delete"])


def delete(client, run):
    response = client.post(page_of(run), {"confirmed": "yes"}, follow=True)
    return [str(message) for message in response.context["messages"]]


def test_it_shows_the_related_rows_that_are_deleted(transactional_db, eager, admin_client):
    run = make_run()
    OrderLine.objects.create(order=Order.objects.create(run=run))
    Cascaded.objects.bulk_create(Cascaded(run=run) for _ in range(2))
    page = admin_client.get(page_of(run)).content.decode()
    assert "3 nodes are deleted" in page
    assert "2 cascadeds" in page
    assert "1 order line" in page
    assert delete(admin_client, run) == ["Delete: echo; 3 nodes are deleted."]
    assert not Order.objects.exists()


@pytest.mark.parametrize("at_once", [1, 20_000])
def test_a_protected_run_is_refused(transactional_db, eager, admin_client, monkeypatch, at_once):
    monkeypatch.setattr(control, "MAX_NODES_AT_ONCE", at_once)
    run = make_run()
    Invoice.objects.create(order=Order.objects.create(node=last_node(run)))
    before = all_rows()
    assert "Invoice.order" in admin_client.get(page_of(run)).content.decode()
    (text,) = delete(admin_client, run)
    assert "Invoice.order" in text
    assert all_rows() == before
    assert not LogEntry.objects.exists()


def test_a_receiver_that_raises_is_shown(transactional_db, eager, admin_client):
    run = make_run()

    def receiver(**_):
        raise ValueError("not now")

    with connect_receiver(pre_delete, receiver, NodeRun):
        (text,) = delete(admin_client, run)
    assert "ValueError: not now" in text
    assert NodeRun.objects.count() == 3


def test_a_user_who_may_not_delete_related_rows(transactional_db, eager, client, django_user_model):
    user = django_user_model.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["delete_treerun", "view_treerun"]))
    client.force_login(user)
    run = make_run()
    Order.objects.create(run=run)
    admin.site.register(Order)
    try:
        (text,) = delete(client, run)
        assert "permission to delete related objects: orders" in text
        assert TreeRun.objects.exists()
    finally:
        admin.site.unregister(Order)
    assert delete(client, run) == ["Delete: echo; 3 nodes are deleted."]
