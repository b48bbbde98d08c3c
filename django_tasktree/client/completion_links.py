"""Signed links: until they expire, everybody who has one may complete one wait node, once, and nothing else."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_noop as _

from django_tasktree.conf import settings
from django_tasktree.control import operations
from django_tasktree.encoding import times
from django_tasktree.exceptions import NotPossible
from django_tasktree.models import NodeRun
from django_tasktree.states import NodeState

_SALT = "django_tasktree.completion"
_OFF = _("wait nodes can't be completed by links, because TASKTREE['COMPLETION_LINKS'] is False")
_NOT_WAITING = _("node %(node)s is %(state)s: only a wait node that waits has a link")


def completion_path(node: NodeRun) -> str:
    """Return the path of the page that completes a wait node.

    Raises:
        NotPossible: links are switched off, or the node does not wait.
        ImproperlyConfigured: the URLs of the project do not contain those of this package.
    """
    if not settings.completion_links:
        raise NotPossible(_OFF)
    if node.state != NodeState.WAITING or not node.is_wait:
        raise NotPossible(_NOT_WAITING, node=node.id, state=node.state)
    token = signing.dumps([node.id.hex, node.task_id.hex], salt=_SALT, compress=True)
    try:
        return reverse("tasktree:complete_by_link", args=[token])
    except NoReverseMatch as exc:
        raise ImproperlyConfigured(
            "links that complete wait nodes need the URLs of this package: add path('tasktree/', "
            "include('django_tasktree.urls')) to the project's URLs"
        ) from exc


def linked_node(token: str) -> NodeRun | None:
    """Return the wait node of a link; None if the link is invalid or has expired, or the node does not wait any more.

    A link is valid as long as the wait, and no longer than ``COMPLETION_LINK_MAX_AGE`` seconds.
    """
    if not settings.completion_links:
        return None
    try:
        key, task_id = signing.loads(token, salt=_SALT, max_age=timedelta(seconds=settings.completion_link_max_age))
    except signing.BadSignature:
        return None
    waits: Any = NodeRun.objects.filter(id=UUID(key), task_id=UUID(task_id), state=NodeState.WAITING)
    node: NodeRun | None = waits.select_related("run").first()
    if node is None or (node.eta is not None and times.elapsed(node.eta) > timedelta()):
        return None
    return node


def complete_linked(node: NodeRun, payload: Any) -> None:
    """Complete the node that :func:`linked_node` has returned, if it still waits as it did then.

    Args:
        node: the node.
        payload: see :func:`django_tasktree.control.operations.complete`.

    Raises:
        NotPossible: the wait has ended, or the run can't be changed now.
        InvalidParameter, SerializationError: see :func:`django_tasktree.control.operations.complete`.
    """
    operations.complete(node.run_id, node.id, payload, by="link", only=node.task_id)
