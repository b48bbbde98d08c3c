"""Mend one thing at a time: what can't be mended must not keep the rest from it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError

from django_tasktree.exceptions import Fenced
from django_tasktree.sweeping.swept import Swept

logger = logging.getLogger(__name__)


@contextmanager
def mending(what: str, swept: Swept) -> Iterator[None]:
    """Let an error in the block be counted and told.

    Args:
        what: names the thing, for the log.
        swept: counts the error.

    Raises:
        OperationalError, InterfaceError: the database itself is in trouble, so the pass must end.
    """
    try:
        yield
    except Fenced as exc:
        logger.info("%s needs no mending any more: %s", what, exc)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        swept.errors += 1
        logger.exception("%s could not be mended", what)
