"""Signed links: until they expire, everybody who has one may see the progress of a run, and nothing else."""

from datetime import timedelta
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
    """Return the path of a progress page that needs no login.

    ``request.build_absolute_uri(progress_link(run))`` gives the complete URL.

    Args:
        run: a ``TreeRun``, a handle, or the ID of a run.
        status: return the path of the JSON for this page instead.

    Returns:
        A path that is valid for ``PROGRESS_LINK_MAX_AGE`` seconds. The page shows the name, state and times of the run
        and counts of nodes, but no arguments, results or errors.
    """
    token = signing.dumps(UUID(str(getattr(run, "id", run))).hex, salt=_SALT)
    return reverse("tasktree:shared_status" if status else "tasktree:shared_progress", args=[token])


def shared_run(token: str) -> TreeRun:
    """Return the run of a signed link.

    Args:
        token: the part of the link that is signed.

    Raises:
        Http404: the signature is invalid or has expired, or the run no longer exists.
    """
    try:
        key = signing.loads(token, salt=_SALT, max_age=timedelta(seconds=settings.progress_link_max_age))
    except signing.BadSignature as exc:
        raise Http404(_("This link is invalid or has expired.")) from exc
    run: TreeRun | None = TreeRun.objects.filter(id=UUID(key)).first()
    if run is None:
        raise Http404(_("This run no longer exists."))
    return run
