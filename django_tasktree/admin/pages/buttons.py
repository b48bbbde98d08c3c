"""The buttons on the page of a run or node."""

from dataclasses import dataclass

from django_tasktree.control.actions import ActionType, Text


@dataclass(frozen=True, slots=True)
class Button:
    """A link that looks like a button.

    Attributes:
        name: a unique name, such as that of an action.
        label: the text.
        explained: the tooltip.
        link: the URL.
        is_destructive: whether its action ends or deletes something.
    """

    name: str
    label: Text
    explained: Text
    link: str
    is_destructive: bool = False

    @classmethod
    def of(cls, action: ActionType, link: str) -> "Button":
        """Return the button of an action."""
        return cls(action.name, action.label, action.explained, link, action.is_destructive)
