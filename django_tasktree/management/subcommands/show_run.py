"""Show a run: its tree, errors, results and history."""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.text import Text

from django_tasktree.client.tree_result import TreeResult
from django_tasktree.management.arguments import positive_int
from django_tasktree.management.display.console import console_of
from django_tasktree.management.display.header import title
from django_tasktree.management.display.history import entry_json, history_lines
from django_tasktree.management.display.json import dumps, page_json, summary_json
from django_tasktree.management.display.page import Page
from django_tasktree.management.display.summary import Summary, summary_of
from django_tasktree.management.display.summary_lines import summary_lines
from django_tasktree.management.display.tree_lines import tree_lines
from django_tasktree.management.display.tree_page import top_page
from django_tasktree.management.lookup_by_id import find_run
from django_tasktree.management.output_format import add_format_option

#: At most this many nodes are shown, whatever --depth and --limit are.
_MAX_NODES = 1000


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    parser.add_argument("id", metavar="ID", help="the run's ID, or its beginning")
    parser.add_argument("--depth", type=positive_int, default=5, metavar="N", help="number of levels; default: 5")
    parser.add_argument(
        "--limit", type=positive_int, default=20, metavar="N", help="number of children of each node; default: 20"
    )
    parser.add_argument("--ids", action="store_true", help="also show the nodes' IDs")
    add_format_option(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Print the run; the number of queries depends on --depth alone."""
    run = find_run(options["id"])
    page = top_page(run.id, depth=options["depth"], per_parent=options["limit"], total=_MAX_NODES)
    summary = summary_of(run)
    history = TreeResult(run.id).history
    console = console_of(command, options)
    if options["format"] == "json":
        described = {
            **summary_json(summary),
            "nodes": page_json(page),
            "root_nodes_left_out": page.left_out.get(None, 0),
            "history": [entry_json(entry) for entry in history],
        }
        console.print(dumps(described), soft_wrap=True)
        return
    _print(console, summary, tree_lines(page, ids=options["ids"]), page)
    if history:
        console.print("\nHistory")
    for line in history_lines(history):
        console.print("  ", line, sep="", soft_wrap=True)


def _print(console: Any, summary: Summary, tree: Iterable[Text], page: Page) -> None:
    console.print(title(summary.run), soft_wrap=True)
    for line in tree:
        console.print(line, soft_wrap=True)
    if page.left_out:
        console.print(
            "Not all nodes are shown: increase --limit or --depth to see more.", style="bright_black", soft_wrap=True
        )
    console.print()
    for line in summary_lines(summary, {row.id for row, _ in page.walk()}):
        console.print(line, soft_wrap=True)
