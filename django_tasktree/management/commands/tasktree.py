"""``manage.py tasktree``: show, control and maintain runs."""

import sys
from argparse import SUPPRESS
from typing import Any

from django.core.management.base import CommandParser, no_translations

from django_tasktree.control.actions import ACTIONS
from django_tasktree.management.base import TreeCommand
from django_tasktree.management.errors import SubcommandParser, did_you_mean
from django_tasktree.management.subcommands import list_runs, purge, send_event, show_run, sweep, watch, workers
from django_tasktree.management.subcommands.control import ActionCommand

#: Name of a subcommand -> the module or object that implements it.
SUBCOMMANDS: dict[str, Any] = {
    "list": list_runs,
    "show": show_run,
    "watch": watch,
    **{name: ActionCommand(action) for name, action in ACTIONS.items()},
    "send-event": send_event,
    "workers": workers,
    "sweep": sweep,
    "purge": purge,
}


def _add_own_options_of_django(parser: CommandParser) -> None:
    """Accept Django's common options after the subcommand too; otherwise they would have to come before it."""
    for flag in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        parser.add_argument(flag, action="store_true", default=SUPPRESS, help=SUPPRESS)
    parser.add_argument("-v", "--verbosity", type=int, choices=[0, 1, 2, 3], default=SUPPRESS, help=SUPPRESS)
    # Accepted and ignored: manage.py has evaluated them already.
    for option in ("--settings", "--pythonpath"):
        parser.add_argument(option, default=SUPPRESS, help=SUPPRESS)


class Command(TreeCommand):
    """Run a subcommand."""

    help = "Show, control and maintain runs of trees. 'tasktree SUBCOMMAND --help' describes the options."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands, each with its own options."""
        subparsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", parser_class=SubcommandParser)
        for name, module in SUBCOMMANDS.items():
            text = str(module.help if isinstance(module, ActionCommand) else module.__doc__.partition("\n")[0])
            subparser = subparsers.add_parser(name, help=text, description=text)
            module.add_arguments(subparser)
            _add_own_options_of_django(subparser)

    def run_from_argv(self, argv: list[str]) -> None:
        """Suggest the closest subcommand for an unknown one; argparse would only list all of them."""
        word = argv[2] if len(argv) > 2 else "-"
        if not word.startswith("-") and word not in SUBCOMMANDS:
            self.stderr.write(
                self.style.ERROR(f"tasktree has no subcommand {word!r}: {did_you_mean(word, list(SUBCOMMANDS))}")
            )
            sys.exit(2)
        super().run_from_argv(argv)

    # The texts of commands are in English, as in Django; so are the translatable texts that they include.
    @no_translations
    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the subcommand; without one, print the help."""
        if not options["subcommand"]:
            self.create_parser("manage.py", "tasktree").print_help(self.stdout)
            return
        SUBCOMMANDS[options["subcommand"]].handle(self, options)
