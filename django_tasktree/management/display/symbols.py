"""A symbol and a colour for each state."""

from rich.text import Text

from django_tasktree.states import NodeState, RunState

_NODE: dict[str, tuple[str, str]] = {
    NodeState.PENDING: ("·", "bright_black"),
    NodeState.QUEUED: ("◦", "cyan"),
    NodeState.STARTED: ("▶", "bold blue"),
    NodeState.RETRY: ("↻", "yellow"),
    NodeState.WAITING: ("◷", "cyan"),
    NodeState.SUCCESS: ("✔", "green"),
    NodeState.FAILURE: ("✘", "bold red"),
    NodeState.REVOKED: ("⊘", "magenta"),
    NodeState.SKIPPED: ("-", "bright_black"),
}
_RUN: dict[str, tuple[str, str]] = {
    RunState.DRAFT: ("·", "bright_black"),
    RunState.STARTED: ("▶", "bold blue"),
    RunState.PAUSED: ("‖", "yellow"),
    RunState.CHANGING: ("⇅", "cyan"),
    RunState.SUCCESS: ("✔", "bold green"),
    RunState.FAILURE: ("✘", "bold red"),
    RunState.REVOKED: ("⊘", "magenta"),
}
#: In the order in which counts are shown.
COUNTED = (
    NodeState.FAILURE,
    NodeState.REVOKED,
    NodeState.STARTED,
    NodeState.RETRY,
    NodeState.QUEUED,
    NodeState.WAITING,
    NodeState.PENDING,
    NodeState.SKIPPED,
    NodeState.SUCCESS,
)


def node_symbol(state: str) -> Text:
    """Return the symbol of a node's state."""
    return Text(*_NODE[state])


def node_style(state: str) -> str:
    """Return the colour of a node's state."""
    return _NODE[state][1]


def run_state(state: str) -> Text:
    """Return the symbol and the word for a run's state."""
    symbol, style = _RUN[state]
    return Text(f"{symbol} {RunState(state).lower()}", style)
