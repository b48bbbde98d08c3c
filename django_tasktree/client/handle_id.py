"""The IDs that handles are made of."""

from uuid import UUID


def handle_id(value: UUID | str) -> UUID:
    """Return the ID of a run or a node as a UUID.

    Raises:
        ValueError: it is not a UUID.
    """
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError:
        raise ValueError(
            f"{value!r} is not the ID of a run or a node, which is a UUID: see result.id, or `manage.py tasktree list`"
        ) from None
