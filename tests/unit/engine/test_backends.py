"""Only engine/backends distinguishes databases, and only it contains the SQL of the lifecycle of nodes."""

import ast
import re
from pathlib import Path

import pytest

from django_tasktree import engine

ENGINE = Path(engine.__file__).parent
OUTSIDE = sorted(path for path in ENGINE.rglob("*.py") if "backends" not in path.relative_to(ENGINE).parts)
LIFECYCLE = [path for path in OUTSIDE if path.parent.name == "lifecycle"]
SQL = re.compile(r"\b(SELECT\b.*\bFROM|UPDATE\b.*\bSET|INSERT\s+INTO|DELETE\s+FROM|WITH\s+RECURSIVE)\b", re.DOTALL)


def name(path):
    return str(path.relative_to(ENGINE))


def docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            yield node.body[0].value  # type: ignore[attr-defined]


#: ``transitions`` uses it, and the backends are built on ``transitions``.
BELOW_THE_BACKENDS = {"notifications.py"}


@pytest.mark.parametrize("path", [path for path in OUTSIDE if name(path) not in BELOW_THE_BACKENDS], ids=name)
def test_only_the_backends_distinguish_databases(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "vendor"]


@pytest.mark.parametrize("path", LIFECYCLE, ids=name)
def test_the_lifecycle_contains_no_sql(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = set(docstrings(tree))
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [node.lineno for node in texts if node not in documented and SQL.search(str(node.value))]
    assert not {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {"execute", "rows"}
