"""What both commands have in common: errors end them with a sentence, and JSON has stdout for itself."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from django.core.management.base import BaseCommand, OutputWrapper
from django.db import OperationalError, ProgrammingError, connections
from django.db.migrations.executor import MigrationExecutor

from django_tasktree.engine.moves import write_alias
from django_tasktree.exceptions import TaskTreeError
from django_tasktree.management.usage import usage_error
from django_tasktree.registry import Definition

_APPS = ("django_tasktree", "django_celery_results")


class TreeCommand(BaseCommand):
    """A command whose expected errors are one or two sentences with the exit code 2; ``--traceback`` shows the rest."""

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run the command.

        Raises:
            CommandError: with the exit code 2, where a table is missing, or what was asked for is refused.
        """
        try:
            is_json = options.get("format") == "json"
            with self._reserved_stdout() if is_json and not options.get("stdout") else self._as_it_is():
                return super().execute(*args, **options)
        except TaskTreeError as exc:
            raise usage_error(str(exc)) from exc
        except (OperationalError, ProgrammingError) as exc:
            missing = _missing_migrations()
            if not missing:
                raise
            raise usage_error(
                f"the database {write_alias()!r} lacks {missing} migration(s) of {' and '.join(_APPS)}: "
                "run manage.py migrate"
            ) from exc

    @contextmanager
    def _as_it_is(self) -> Iterator[None]:
        yield

    @contextmanager
    def _reserved_stdout(self) -> Iterator[None]:
        """Let whatever else is printed go to stderr: by tasks in this process, or by programs that they start."""
        stdout: Any = self.stdout._out
        if stdout is not sys.stdout or not _is_process_output(stdout):
            with redirect_stdout(sys.stderr):
                yield
            return
        stdout.flush()
        kept = os.dup(1)
        given = self.stdout
        try:
            os.dup2(2, 1)
            out: Any = os.fdopen(os.dup(kept), "w", encoding=stdout.encoding, errors=stdout.errors)
            with out, redirect_stdout(sys.stderr):
                self.stdout = OutputWrapper(out)
                yield
        finally:
            self.stdout = given
            stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)

    @contextmanager
    def errors_of_definition(self, definition: Definition[Any]) -> Iterator[None]:
        """Show where the function of a definition has raised an error.

        Raises:
            CommandError: with the exit code 2.
        """
        try:
            yield
        except TaskTreeError:
            raise
        except Exception as exc:
            self.stderr.write("".join(traceback.format_exception(type(exc), exc, _within(definition, exc))))
            raise usage_error(
                f"{definition.place}, which defines tree {definition.name!r}, raised {type(exc).__name__}: {exc}"
            ) from exc


def _is_process_output(stream: Any) -> bool:
    try:
        return stream.fileno() == 1 and sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):
        return False


def _within(definition: Definition[Any], exc: Exception) -> Any:
    """Return the traceback from the definition's own function on; the whole one where it is not in there."""
    code = getattr(definition.function, "__code__", None)
    found = exc.__traceback__
    while found is not None and found.tb_frame.f_code is not code:
        found = found.tb_next
    return found or exc.__traceback__


def _missing_migrations() -> int:
    """Count the migrations that the database lacks."""
    executor = MigrationExecutor(connections[write_alias()])
    leaves = [leaf for app in _APPS for leaf in executor.loader.graph.leaf_nodes(app)]
    return len({migration for migration, _ in executor.migration_plan(leaves) if migration.app_label in _APPS})
