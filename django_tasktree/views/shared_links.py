"""Signed links: whoever has one may see how far a run is, and nothing else, until it expires."""

from typing import Any
from uuid import UUID

from django.core import signing
from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext as _

from django_tasktree.conf import settings
from django_tasktree.models import TreeRun

_SALT = "django_tasktree.progress"


def progress_link(run: Any, *, status: bool = False) -> str:
    """Give the address of a progress page that needs no login.

    Args:
        run: a ``TreeRun``, a handle, or the key of a run.
        status: the address of its JSON instead.

    Returns:
        A path; ``request.build_absolute_uri`` makes a whole address of it. It is good for ``PROGRESS_LINK_MAX_AGE``
        seconds, and shows counts of nodes by state, never arguments, results or errors.
    """
    token = signing.dumps(UUID(str(getattr(run, "id", run))).hex, salt=_SALT)
    return reverse("tasktree:shared_status" if status else "tasktree:shared_progress", args=[token])


def shared_run(token: str) -> TreeRun:
    """Read the run that a link is about.

    Raises:
        Http404: the link was not made here, has expired, or its run is no more.
    """
    try:
        key = signing.loads(token, salt=_SALT, max_age=settings.progress_link_max_age)
    except signing.BadSignature as exc:
        raise Http404(_("This link is not valid, or not any more.")) from exc
    run: TreeRun | None = TreeRun.objects.filter(id=UUID(key)).first()
    if run is None:
        raise Http404(_("The run that this link was about is no more."))
    return run
