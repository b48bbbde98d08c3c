"""The stored form of an attempt's error."""

from dataclasses import dataclass

from django_tasktree.encoding.text import LONG_NAME_LENGTH, storable


@dataclass(frozen=True, slots=True)
class NodeError:
    """The error of an attempt, as texts that every database can store.

    Attributes:
        type: the dotted name of the exception's type.
        message: the exception's text.
        args: the exception's arguments, as ``serialization.dumps`` writes them; empty if they can't be stored.
        traceback: the formatted traceback; empty if there is none.
    """

    type: str
    message: str
    args: str = ""
    traceback: str = ""

    def __post_init__(self) -> None:
        """Escape and shorten the texts, so that storing an error never raises another one."""
        object.__setattr__(self, "type", storable(self.type, LONG_NAME_LENGTH))
        object.__setattr__(self, "message", storable(self.message))
        object.__setattr__(self, "traceback", storable(self.traceback))

    def in_ascii(self) -> "NodeError":
        """Return the error with all non-ASCII characters escaped, for a database whose encoding lacks one of them."""
        texts = (self.type, self.message, self.args, self.traceback)
        return NodeError(*(text.encode("ascii", "backslashreplace").decode("ascii") for text in texts))
