"""The base class of both commands: short messages for expected errors; with ``--format json``, only JSON on stdout."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any

from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db import Error, InterfaceError, OperationalError, ProgrammingError, connections
from django.db.migrations.executor import MigrationExecutor

from django_tasktree.definitions.definition import Definition
from django_tasktree.engine.database_retries import may_go_away
from django_tasktree.engine.transitions import write_alias
from django_tasktree.exceptions import TaskTreeError
from django_tasktree.management.errors import usage_error

_APPS = ("django_tasktree", "django_celery_results")


class TreeCommand(BaseCommand):
    """A command that reports expected errors in a sentence or two, with exit code 2; ``--traceback`` shows the rest."""

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run the command.

        Raises:
            CommandError: with exit code 2, if the request was refused, or migrations have not been applied; with exit
                code 1, if a database can't be reached or fails.
        """
        try:
            is_json = options.get("format") == "json"
            with self._reserved_stdout() if is_json and not options.get("stdout") else nullcontext():
                return super().execute(*args, **options)
        except TaskTreeError as exc:
            raise usage_error(str(exc)) from exc
        except (InterfaceError, OperationalError, ProgrammingError) as exc:
            missing = _missing_migrations()
            if not missing and may_go_away(exc):
                # Some drivers write several lines.
                raise CommandError(f"the database reports an error: {' '.join(str(exc).split())}") from exc
            if not missing:
                raise
            raise usage_error(
                f"{missing} migration(s) of {' and '.join(_APPS)} are not applied to the database {write_alias()!r}: "
                "run manage.py migrate"
            ) from exc

    @contextmanager
    def _reserved_stdout(self) -> Iterator[None]:
        """Redirect to stderr whatever tasks in this process, or programs that they start, print to stdout."""
        stdout: Any = self.stdout._out
        if stdout is not sys.stdout or not _is_process_output(stdout):
            with redirect_stdout(sys.stderr):
                yield
            return
        stdout.flush()
        saved = os.dup(1)
        original = self.stdout
        try:
            os.dup2(2, 1)
            out: Any = os.fdopen(os.dup(saved), "w", encoding=stdout.encoding, errors=stdout.errors)
            with out, redirect_stdout(sys.stderr):
                self.stdout = OutputWrapper(out)
                yield
        finally:
            self.stdout = original
            stdout.flush()
            os.dup2(saved, 1)
            os.close(saved)

    @contextmanager
    def errors_of_definition(self, definition: Definition[Any]) -> Iterator[None]:
        """Print the traceback of an error that the function of a definition raises.

        Raises:
            CommandError: with exit code 2, for any error but those of this package.
        """
        try:
            yield
        except TaskTreeError:
            raise
        except Exception as exc:
            self.stderr.write("".join(traceback.format_exception(type(exc), exc, _within(definition, exc))))
            raise usage_error(
                f"{definition.place}, which defines {definition.name!r}, raised {type(exc).__name__}: {exc}"
            ) from exc


def _is_process_output(stream: Any) -> bool:
    try:
        return stream.fileno() == 1 and sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):
        return False


def _within(definition: Definition[Any], exc: Exception) -> Any:
    """Return the part of the traceback below the definition's function; all of it if that is not in it."""
    code = getattr(definition.function, "__code__", None)
    frame = exc.__traceback__
    while frame is not None and frame.tb_frame.f_code is not code:
        frame = frame.tb_next
    return frame or exc.__traceback__


def _missing_migrations() -> int:
    """Return the number of migrations that have not been applied; 0 if the database can't be read."""
    try:
        executor = MigrationExecutor(connections[write_alias()])
    except Error:
        return 0
    leaves = [leaf for app in _APPS for leaf in executor.loader.graph.leaf_nodes(app)]
    return len({migration for migration, _ in executor.migration_plan(leaves) if migration.app_label in _APPS})
