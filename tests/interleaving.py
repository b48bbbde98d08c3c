"""Run code between two steps of the code under test: before one of its SQL statements.

A race happens between two statements, so a test names the statement instead of a private function.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from tests import databases


@contextmanager
def before_statement(pattern: str, act: Callable[[], Any]) -> Iterator[None]:
    """Call a function once, before the first matching statement on the database under test.

    Args:
        pattern: a regular expression for the beginning of the statement, without the quotes of names.
        act: the function; it uses the same connection, and its own statements are not matched.

    Raises:
        AssertionError: no statement matched.
    """
    found: list[str] = []

    def execute(run: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        statement = " ".join(str(sql).replace('"', "").replace("`", "").split())
        if not found and re.match(pattern, statement):
            found.append(statement)
            act()
        return run(sql, params, many, context)

    with connections[databases.active_alias()].execute_wrapper(execute):
        yield
    assert found, f"no statement matched {pattern!r}"
