"""The state of a run as an option."""

from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence

from django_tasktree.management.usage import did_you_mean


def run_state_argument(choices: Sequence[str]) -> Callable[[str], str]:
    """Make the type of an option that names a state of runs.

    Args:
        choices: the states, in lower case.
    """

    def state(text: str) -> str:
        if text.lower() not in choices:
            raise ArgumentTypeError(f"there is no state {text!r}: {did_you_mean(text, choices)}")
        return text.upper()

    return state
