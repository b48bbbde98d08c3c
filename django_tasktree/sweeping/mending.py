"""Mend one thing at a time: what can't be mended must not keep the rest from it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError

from django_tasktree.engine.transient import is_timeout
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
        OperationalError, InterfaceError: the database itself is in trouble, so the pass must end. A lock that another
            transaction holds is not: it is logged.
    """
    try:
        yield
    except Fenced as exc:
        logger.info("%s needs no mending any more: %s", what, exc)
    except (OperationalError, InterfaceError) as exc:
        if not is_timeout(exc):
            raise
        swept.errors += 1
        logger.warning("%s is locked by another transaction (%s): it is looked at again in the next pass", what, exc)
    except Exception:
        swept.errors += 1
        logger.exception("%s could not be mended", what)
