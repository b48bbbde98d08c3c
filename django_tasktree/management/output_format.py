"""The option ``--format`` of commands."""

from argparse import ArgumentParser


def add_format_option(parser: ArgumentParser) -> None:
    """Declare the option ``--format``, whose values are ``text`` and ``json``."""
    parser.add_argument("--format", choices=["text", "json"], default="text", help="default: text")
