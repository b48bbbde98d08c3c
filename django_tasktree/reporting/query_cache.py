"""A cache in this process for expensive queries that open pages repeat.

A value is reused for ``_WORTH`` times as long as it took to compute, so that pages take at most a twentieth of the
database's time, however many are open. A value that is cheap to compute is never cached.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import Any

#: Seconds: a value that takes less time is never cached.
CHEAP = 0.02
_WORTH = 20
#: Seconds: no value is reused for longer.
_MAX_SECONDS = 60
#: The number of values in the cache, at most.
MAX_ANSWERS = 1_000

_kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
_lock = Lock()


def recent(key: Hashable, find: Callable[[], Any]) -> Any:
    """Return the cached value of a key, or compute it.

    Args:
        key: identifies the value.
        find: computes the value. Callers share it and must not modify it.
    """
    with _lock:
        until, answer = _kept.get(key, (0.0, None))
    if monotonic() < until:
        return answer
    start = monotonic()
    answer = find()
    took = monotonic() - start
    if took >= CHEAP:
        with _lock:
            _kept[key] = (monotonic() + min(_WORTH * took, _MAX_SECONDS), answer)
            _kept.move_to_end(key)
            while len(_kept) > MAX_ANSWERS:
                _kept.popitem(last=False)
    return answer


def forget_all() -> None:
    """Empty the cache."""
    with _lock:
        _kept.clear()
