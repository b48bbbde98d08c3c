"""The tasks of django-qraft."""


def echo(value: int) -> int:
    """Return the value."""
    return value
