"""``manage.py tasktree``: look at runs, steer them, and look after them."""

import sys
from argparse import SUPPRESS
from typing import Any

from django.core.management.base import CommandParser, no_translations

from django_tasktree.management.base import TreeCommand
from django_tasktree.management.subcommands import list_runs, purge, show_run, sweep, watch, workers
from django_tasktree.management.subcommands.steer import Steer
from django_tasktree.management.usage import did_you_mean
from django_tasktree.verbs import VERBS

#: What each is called, and what does it.
SUBCOMMANDS: dict[str, Any] = {
    "list": list_runs,
    "show": show_run,
    "watch": watch,
    **{name: Steer(verb) for name, verb in VERBS.items()},
    "workers": workers,
    "sweep": sweep,
    "purge": purge,
}


class Command(TreeCommand):
    """Hands over to a subcommand."""

    help = "Look at runs of trees, steer them, and look after them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare each subcommand with its own options."""
        subparsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND")
        for name, module in SUBCOMMANDS.items():
            text = str(module.help if isinstance(module, Steer) else module.__doc__.partition("\n")[0])
            subparser = subparsers.add_parser(name, help=text, description=text)
            module.add_arguments(subparser)
            # Django's own, which would otherwise have to be written before the subcommand.
            for flag in ("--traceback", "--no-color", "--force-color"):
                subparser.add_argument(flag, action="store_true", default=SUPPRESS, help=SUPPRESS)

    def run_from_argv(self, argv: list[str]) -> None:
        """Suggest the nearest subcommand where a word is none; argparse would only list them all."""
        word = argv[2] if len(argv) > 2 else "-"
        if not word.startswith("-") and word not in SUBCOMMANDS:
            self.stderr.write(
                self.style.ERROR(f"tasktree has no subcommand {word!r}: {did_you_mean(word, list(SUBCOMMANDS))}")
            )
            sys.exit(2)
        super().run_from_argv(argv)

    # The rest of what it says is English, as that of Django's own commands.
    @no_translations
    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the subcommand, or show the help."""
        if not options["subcommand"]:
            self.create_parser("manage.py", "tasktree").print_help(self.stdout)
            return
        SUBCOMMANDS[options["subcommand"]].handle(self, options)
