"""Answers that are dear to compute and are asked for again and again, by many who look at the same page.

An answer is given once more for as long as ``_WORTH`` times what it took to find: looks cost the database a twentieth
of its time at the most, however many look. What is found quickly is looked for each time.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import Any

#: Seconds: what takes less is never kept.
CHEAP = 0.02
_WORTH = 20
#: Seconds: nothing is kept for longer.
_LONGEST = 15
#: So many answers are kept in this process.
_MOST = 1_000

_kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
_lock = Lock()


def recent(key: Hashable, find: Callable[[], Any]) -> Any:
    """Give an answer that was found lately, or find it.

    Args:
        key: what is asked.
        find: finds the answer; whoever is given it must not change it.
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
            _kept[key] = (monotonic() + min(_WORTH * took, _LONGEST), answer)
            _kept.move_to_end(key)
            while len(_kept) > _MOST:
                _kept.popitem(last=False)
    return answer


def forget_all() -> None:
    """Forget what was found."""
    with _lock:
        _kept.clear()
