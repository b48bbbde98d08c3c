"""A publisher that sends every message twice, and those of a batch in random order."""

import random

from django_tasktree.dispatch import publisher

_send_all = publisher.send_all
_send_retry = publisher.send_retry


def _send_all_twice(app, first, rest, report):
    some = [first, *rest]
    twice = some * 2
    random.shuffle(twice)
    _send_all(app, twice[0], iter(twice[1:]), report)
    report.seen -= len(some)


def _send_retry_twice(node, signature, *, is_eager):
    for _ in range(2):
        _send_retry(node, signature, is_eager=is_eager)


def install(patch=setattr):
    """Let this process send every message twice."""
    from django_tasktree.worker import execution

    patch(publisher, "send_all", _send_all_twice)
    patch(execution, "send_retry", _send_retry_twice)
