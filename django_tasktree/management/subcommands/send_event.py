"""Send an event to a run, for its wait nodes."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.text import Text

from django_tasktree.control.waits import awaited, send_event
from django_tasktree.definitions.payloads import read_texts
from django_tasktree.encoding.strict_json import read_json
from django_tasktree.engine.control.waits import names_awaited
from django_tasktree.exceptions import InvalidOption, InvalidParameter, InvalidText, NotPossible, SerializationError
from django_tasktree.management.display.console import console_of
from django_tasktree.management.display.json import dumps
from django_tasktree.management.errors import usage_error
from django_tasktree.management.lookup_by_id import find_run
from django_tasktree.management.output_format import add_format_option
from django_tasktree.management.parameters import read_pairs
from django_tasktree.management.targets import Target, current_os_user
from django_tasktree.models import NodeRun, RunEvent
from django_tasktree.reporting.node_paths import paths_of

#: No more names of other events are shown.
_MOST_NAMES = 5


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    parser.add_argument("id", metavar="ID", help="the run's ID, or its beginning")
    parser.add_argument("name", metavar="NAME", help="the name of the event")
    parser.add_argument("--payload", metavar="JSON", help="the payload of the event; by default null")
    parser.add_argument(
        "--param",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="one value of the payload, instead of --payload: a field of the wait node's form, or a parameter",
    )
    add_format_option(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Send the event, and print which node it has ended.

    Raises:
        CommandError: the run has ended, or the payload does not fit (exit code 1); or the arguments are wrong.
    """
    run, name = find_run(options["id"]), options["name"]
    try:
        event_id = send_event(run.id, name, _payload(run.id, options), by=current_os_user())
    except (InvalidOption, InvalidText) as exc:
        raise usage_error(str(exc)) from exc
    except (InvalidParameter, NotPossible, SerializationError) as exc:
        raise CommandError(str(exc)) from exc
    node = NodeRun.objects.filter(id__in=RunEvent.objects.filter(id=event_id).values("taken_by")).first()
    console = console_of(command, options)
    if options["format"] == "json":
        console.print(dumps({"id": str(event_id), "run": str(run.id), "node": node and str(node.id)}), soft_wrap=True)
        return
    what = _fate(run.id, name) if node is None else f"it has ended {_title(node)}"
    text = Text.assemble(("✔ ", "green"), (Target.of(run).title, "bold"), f": {what}")
    console.print(text, soft_wrap=not console.is_terminal)


def _title(node: NodeRun) -> str:
    return Target.of(node, paths_of([node.id]).get(node.id)).title


def _fate(run_id: UUID, name: str) -> str:
    """Return what becomes of an event that has ended no node."""
    others = [] if awaited(run_id, name) else names_awaited(run_id, _MOST_NAMES)
    but = f", which none does yet: nodes of this run wait, or will wait, for {', '.join(others)}" if others else ""
    return f"stored until a node waits for it{but}"


def _payload(run_id: UUID, options: dict[str, Any]) -> Any:
    if options["param"]:
        if options["payload"] is not None:
            raise usage_error("--payload and --param both give the payload: use one of them")
        texts = read_pairs(options["param"])
        spec = awaited(run_id, options["name"])
        return texts if spec is None else read_texts(spec, texts)
    try:
        return None if options["payload"] is None else read_json(options["payload"])
    except ValueError as exc:
        raise usage_error(f"--payload: {options['payload']!r} is not JSON ({exc})") from exc
