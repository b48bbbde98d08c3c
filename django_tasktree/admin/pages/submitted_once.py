"""Launch only one run for each form, even if the form is submitted several times, as by a double click."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from django_tasktree.encoding.ids import as_uuid, derived_id, new_id
from django_tasktree.engine.transitions import runs, write_alias
from django_tasktree.exceptions import InvalidOption
from django_tasktree.models import TreeRun

#: The hidden field with the token, which is different each time a form is shown.
_FIELD = "once"
#: The CSRF token. It differs between forms of the same session.
_CSRF = "csrfmiddlewaretoken"


def new_token() -> str:
    """Return a new token for a form."""
    return new_id().hex


def run_id_of(request: HttpRequest, about: UUID | None = None) -> UUID | None:
    """Return the ID of the run that a form launches, which is the same if the same form is submitted again.

    A form with other values gets another ID, so a user can go back, change the form and launch another run. The ID is
    derived from a keyed hash of the form, so nobody can choose it.

    Args:
        request: the request with the submitted form.
        about: the row to which the launch belongs, if one form launches runs for several rows.

    Returns:
        The ID; None if the form has no valid token.
    """
    token = as_uuid(request.POST.get(_FIELD, ""))
    if token is None or token.version != 7:
        return None
    sent = sorted((name, values) for name, values in request.POST.lists() if name != _CSRF)
    text = urlencode([("path", request.path), ("user", str(request.user.pk)), ("about", str(about)), *sent], doseq=True)
    return derived_id(token, salted_hmac("django_tasktree.once", text, algorithm="sha256").digest())


def launched_once(run_id: UUID | None, launch: Callable[[], UUID]) -> tuple[TreeRun, bool]:
    """Launch a run, or return the run that an earlier submission of the same form has launched.

    Args:
        run_id: the ID of the run; see :func:`run_id_of`. None launches in any case.
        launch: launches the run with this ID and returns its ID. It is called in a transaction.

    Returns:
        The run, and whether it was launched now.

    Raises:
        Exception: any exception of ``launch``.
    """
    before = find_run(run_id)
    if before is not None:
        return before, False
    try:
        with transaction.atomic(using=write_alias()):
            return _run(launch()), True
    except (IntegrityError, InvalidOption):
        # Another request has launched the run in the meantime. Errors with another cause are raised again.
        before = find_run(run_id)
        if before is None:
            raise
        return before, False


def warn_submitted_before(request: HttpRequest) -> None:
    """Show a message that nothing was launched, because the form was submitted before."""
    messages.warning(request, _("This form was sent before, so nothing new was launched."))


def _run(run_id: UUID) -> TreeRun:
    return runs().get(pk=run_id)


def find_run(run_id: UUID | None) -> TreeRun | None:
    """Return a run; None if there is none with this ID."""
    return runs().filter(pk=run_id).first() if run_id is not None else None
