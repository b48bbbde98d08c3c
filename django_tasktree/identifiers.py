"""Time-ordered identifiers, so that new rows land at the end of the primary key's index."""

import os
import time
import uuid
from datetime import datetime

_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_RANDOM_62 = (1 << 62) - 1


def new_id() -> uuid.UUID:
    """Make a UUIDv7.

    The 48 bits of Unix milliseconds are followed by 12 bits of the millisecond's fraction: RFC 9562, section 6.2,
    method 3. (Python has ``uuid.uuid7`` from 3.14 on.)
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    noise = int.from_bytes(os.urandom(8), "big") & _RANDOM_62
    return uuid.UUID(int=(milliseconds & 0xFFFFFFFFFFFF) << 80 | _VERSION_7 | fraction << 64 | _VARIANT | noise)


def first_id_since(moment: datetime) -> uuid.UUID:
    """Give the least id that can have been made at a point in time, which is aware, or later."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


def new_task_id() -> uuid.UUID:
    """Make the task id of one attempt at a node: the fencing token that its message bears."""
    return uuid.uuid4()


def as_uuid(term: str) -> uuid.UUID | None:
    """Read a text as an id; None where it is something else."""
    try:
        return uuid.UUID(term.strip())
    except ValueError:
        return None
