"""Time-ordered identifiers, so that new rows are added at the end of the primary key's index."""

import os
import time
import uuid
from datetime import datetime

_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_RANDOM_62 = (1 << 62) - 1


def new_id() -> uuid.UUID:
    """Return a new UUIDv7.

    Its 48 bits of Unix milliseconds are followed by 12 bits of the millisecond's fraction: RFC 9562, section 6.2,
    method 3. (Python has ``uuid.uuid7`` from 3.14 on.)
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    noise = int.from_bytes(os.urandom(8), "big") & _RANDOM_62
    return uuid.UUID(int=(milliseconds & 0xFFFFFFFFFFFF) << 80 | _VERSION_7 | fraction << 64 | _VARIANT | noise)


def derived_id(base: uuid.UUID, digest: bytes) -> uuid.UUID:
    """Return a UUIDv7 with the time of another one and with bits of a digest instead of random bits.

    The same arguments always give the same result.

    Args:
        base: an ID that :func:`new_id` created.
        digest: at least 8 bytes.
    """
    noise = int.from_bytes(digest[:8], "big") & _RANDOM_62
    return uuid.UUID(int=base.int >> 64 << 64 | _VARIANT | noise)


def first_id_since(moment: datetime) -> uuid.UUID:
    """Return the smallest ID that :func:`new_id` can have created at a point in time or later.

    Args:
        moment: an aware time.
    """
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


def new_task_id() -> uuid.UUID:
    """Return a new task ID for one attempt at a node: the fencing token that the attempt's message carries."""
    return uuid.uuid4()


def as_uuid(term: str) -> uuid.UUID | None:
    """Return the ID that a text contains, without blanks around it; None if the text is not an ID."""
    try:
        return uuid.UUID(term.strip())
    except ValueError:
        return None
