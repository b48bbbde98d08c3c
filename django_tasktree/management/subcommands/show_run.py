"""Show a run with its tree, errors, results and history; or one of its nodes."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.text import Text

from django_tasktree.client.tree_result import TreeResult
from django_tasktree.management.arguments import positive_int
from django_tasktree.management.display.console import console_of, print_fitting, width_of
from django_tasktree.management.display.header import title
from django_tasktree.management.display.history import entry_json, history_lines
from django_tasktree.management.display.json import dumps, page_json, summary_json
from django_tasktree.management.display.node_details import detail_lines, node_report, traceback_lines
from django_tasktree.management.display.page import Page
from django_tasktree.management.display.summary import summary_of
from django_tasktree.management.display.summary_lines import summary_lines
from django_tasktree.management.display.tree_lines import tree_lines
from django_tasktree.management.display.tree_page import top_page
from django_tasktree.management.lookup_by_id import find_by_path, find_run_or_node
from django_tasktree.management.output_format import add_format_option
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.reporting.node_paths import paths_of

#: At most this many nodes are shown, whatever --depth and --limit are.
_MAX_NODES = 1000


def add_arguments(parser: CommandParser) -> None:
    """Declare the options."""
    parser.add_argument("id", metavar="ID", help="the ID of a run or a node, or its beginning")
    parser.add_argument("path", nargs="?", metavar="PATH", help="show the node at this path below it, such as load/3")
    parser.add_argument("--depth", type=positive_int, default=5, metavar="N", help="number of levels; default: 5")
    parser.add_argument(
        "--limit", type=positive_int, default=20, metavar="N", help="number of children of each node; default: 20"
    )
    parser.add_argument("--ids", action="store_true", help="also show the nodes' IDs")
    add_format_option(parser)


def handle(command: BaseCommand, options: dict[str, Any]) -> None:
    """Print the run, or the node; the number of queries depends on --depth and the path alone."""
    found = find_run_or_node(options["id"])
    if options["path"]:
        found = find_by_path(found, options["path"])
    console = console_of(command, options)
    if isinstance(found, NodeRun):
        _show_node(console, found, options)
    else:
        _show_run(console, found, options)


def _page(options: dict[str, Any], run_id: UUID, node_id: UUID | None = None) -> Page:
    return top_page(run_id, node_id, depth=options["depth"], per_parent=options["limit"], total=_MAX_NODES)


def _show_node(console: Console, node: NodeRun, options: dict[str, Any]) -> None:
    page = _page(options, node.run_id, node.id)
    if options["format"] == "json":
        console.print(dumps(node_report(node, page)), soft_wrap=True)
        return
    _print_tree(console, page, options)
    for line in detail_lines(node):
        print_fitting(console, line)
    for line in traceback_lines(node):
        console.print(line, soft_wrap=True)


def _show_run(console: Console, run: TreeRun, options: dict[str, Any]) -> None:
    page = _page(options, run.id)
    summary = summary_of(run)
    history = TreeResult(run.id).history
    paths = paths_of(entry.node_id for entry in history if entry.node_id is not None)
    if options["format"] == "json":
        described = {
            **summary_json(summary),
            "nodes": page_json(page),
            "root_nodes_left_out": page.left_out.get(None, 0),
            "history": [entry_json(entry, paths) for entry in history],
        }
        console.print(dumps(described), soft_wrap=True)
        return
    print_fitting(console, title(summary.run))
    _print_tree(console, page, options)
    for line in summary_lines(summary, {row.id for row, _ in page.walk()}):
        print_fitting(console, line)
    if history:
        console.print("\nHistory")
    for line in history_lines(history, paths):
        print_fitting(console, Text("  ").append_text(line))


def _print_tree(console: Console, page: Page, options: dict[str, Any]) -> None:
    for line in tree_lines(page, ids=options["ids"], width=width_of(console)):
        console.print(line, soft_wrap=True)
    if page.left_out:
        console.print(
            "Not all nodes are shown: increase --limit or --depth to see more.", style="bright_black", soft_wrap=True
        )
    console.print()
