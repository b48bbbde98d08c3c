"""An option type for the state of a run."""

from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence

from django_tasktree.management.errors import did_you_mean


def run_state_argument(choices: Sequence[str]) -> Callable[[str], str]:
    """Return an argparse type that accepts the given states in any case, and returns them in upper case.

    Args:
        choices: the states, in lower case.
    """

    def state(text: str) -> str:
        if text.lower() not in choices:
            raise ArgumentTypeError(f"there is no state {text!r}: {did_you_mean(text, choices)}")
        return text.upper()

    return state
