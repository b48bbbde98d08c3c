"""Placeholders for values that are known only at run time, and for parts of such values."""

import reprlib
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

#: A key of a dict or a position in a list: one step of the path to a part of a value.
Step = str | int
#: The types of stored references and items, as kombu writes them.
OUTPUT_TYPE = "tasktree-output"
ITEM_TYPE = "tasktree-item"
#: The maximum number of keys of a dict that an error message lists.
_MAX_KEYS_SHOWN = 5


class Placeholder:
    """What takes the place of a value. All that needs the value before it exists raises an error that says so."""

    # Private, since a part of a value may have any name: ``output.path`` has to be refused.
    _path: tuple[Step, ...]

    def _name(self) -> str:
        """Return the name of the whole value."""
        raise NotImplementedError

    def _unknown(self) -> str:
        """Return since when the value exists: ``"before the node has run"``."""
        raise NotImplementedError

    if TYPE_CHECKING:
        # Type checkers report by themselves what a placeholder does not have; but with __getitem__ it would be
        # iterable.
        __iter__: ClassVar[None]
    else:

        def _refuse(self, *_args: Any) -> Any:
            raise TypeError(
                f"{written(self._name(), self._path)} has no value {self._unknown()}: "
                "pass it on as an argument, and use it in the task"
            )

        # Each of these needs the value. Without them, Python would use a default or raise a less helpful error.
        __iter__ = __len__ = __contains__ = __bool__ = __str__ = __format__ = __int__ = __float__ = __index__ = _refuse
        __add__ = __sub__ = __mul__ = __matmul__ = __truediv__ = __floordiv__ = __mod__ = __divmod__ = __pow__ = _refuse
        __radd__ = __rsub__ = __rmul__ = __rmatmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rdivmod__ = _refuse
        __rpow__ = __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = __rand__ = __ror__ = __rxor__ = _refuse
        __rlshift__ = __rrshift__ = __neg__ = __pos__ = __abs__ = __invert__ = __round__ = __complex__ = _refuse
        __lt__ = __le__ = __gt__ = __ge__ = _refuse

        def __getattr__(self, name: str) -> Any:
            """Raise an AttributeError that names the way to refer to a part of the value."""
            if name.startswith("_"):
                # Python looks for these attributes when it copies an object, whose copy has no fields yet.
                raise AttributeError(name)
            whole = written(self._name(), self._path)
            raise AttributeError(
                f"{whole} has no attribute {name!r}: a part of it is {whole}[{name!r}]; an attribute can only be used "
                "in the task",
                name=name,
                obj=self,
            )


def further(path: tuple[Step, ...], step: Step) -> tuple[Step, ...]:
    """Return the path to a part of the value at a path.

    Raises:
        TypeError: the step is neither a text nor a whole number.
    """
    if not isinstance(step, (str, int)):
        raise TypeError(f"a part of a value is named by a key or a position, not by {step!r}")
    return (*path, step)


def pick(value: Any, path: Iterable[Step]) -> Any:
    """Return the part of a value that a path leads to.

    Raises:
        KeyError, IndexError, TypeError: the value has no such part.
    """
    for step in path:
        value = value[step]
    return value


def written(name: str, path: Iterable[Step]) -> str:
    """Return a part of a value as it is written in Python: ``output['total']``."""
    return f"{name}{''.join(f'[{step!r}]' for step in path)}"


def missing_part(name: str, path: Iterable[Step], value: Any) -> str:
    """Describe the first step of a path that does not exist, and the value at that place."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return f"{name} is {_described(value)}, without [{step!r}]"
        name += f"[{step!r}]"
    return name


def _described(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(reprlib.repr(key) for key in islice(value, _MAX_KEYS_SHOWN))
        more = ", …" if len(value) > _MAX_KEYS_SHOWN else ""
        return f"a dict with the keys {keys}{more}" if value else "an empty dict"
    if isinstance(value, (list, tuple, str)):
        return f"a {type(value).__name__} of length {len(value):,}"
    return "None" if value is None else f"of type {type(value).__name__}"
