"""Only engine/transitions.py writes states of nodes and runs, or contains SQL with a literal state."""

import ast
import re
from pathlib import Path

import pytest

import django_tasktree
from django_tasktree.states import NodeState, RunState

PACKAGE = Path(django_tasktree.__file__).parent
#: Without the module that writes states, and without migrations, which define the columns.
MODULES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "engine" / "transitions.py" and "migrations" not in path.parts
)
WRITING_CALLS = {
    "update",
    "create",
    "bulk_create",
    "bulk_update",
    "get_or_create",
    "update_or_create",
    "acreate",
    "aupdate",
}
ROWS = {"NodeRun", "TreeRun"}
STATES = "|".join({*NodeState.values, *RunState.values})
#: ``SET state = …`` before any WHERE, also after other columns; ``INSERT INTO … (…, state``.
WRITING_SQL = re.compile(r"\bSET\b(?:(?!\bWHERE\b).)*\bstate\s*=", re.DOTALL)
SPELLED_OUT = re.compile(rf"\b(?:SELECT|UPDATE|SET|WHERE|IN|AND)\b.*'(?:{STATES})'", re.DOTALL)


def name_of(function):
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def keys_of(call):
    """Return the names of keywords and the keys of dictionaries in the arguments of a call."""
    yield from (keyword.arg for keyword in call.keywords)
    for node in ast.walk(ast.Tuple([*call.args, *(keyword.value for keyword in call.keywords)], ast.Load())):
        if isinstance(node, ast.Dict):
            yield from (key.value for key in node.keys if isinstance(key, ast.Constant))


def text_of(node):
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def writes(source):
    """Return the lines that write a state."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and name_of(node.func) in WRITING_CALLS | ROWS and "state" in keys_of(node):
            yield node.lineno
        if isinstance(node, ast.Call) and name_of(node.func) == "setattr" and text_of(node.args[1]) == "state":
            yield node.lineno
        if isinstance(node, ast.Call) and name_of(node.func) in ("bulk_update", "save"):
            named = [
                text_of(each) for part in [*node.args, *(one.value for one in node.keywords)] for each in ast.walk(part)
            ]
            if "state" in named:
                yield node.lineno
        if isinstance(node, ast.Attribute) and node.attr == "state" and isinstance(node.ctx, ast.Store):
            owner = node.value
            if not (isinstance(owner, ast.Name) and owner.id == "self"):
                yield node.lineno
        if isinstance(node, ast.expr) and (WRITING_SQL.search(text_of(node)) or SPELLED_OUT.search(text_of(node))):
            yield node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_transitions_write_states(path):
    assert not list(writes(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        'nodes().filter(id=1).update(state="QUEUED")',
        'rows.update(**{"state": "QUEUED"})',
        "NodeRun(id=1, state=state)",
        "TreeRun.objects.create(state=state)",
        'rows.bulk_update(some, ["state"])',
        'row.save(update_fields=["state"])',
        "row.state = state",
        "row.state, row.hold = state, hold",
        'setattr(row, "state", state)',
        '"UPDATE {node} SET state = %s WHERE id = %s"',
        'f"UPDATE {table} SET hold = %s, state = {state} WHERE id = %s"',
        "\"SELECT 1 FROM {run} WHERE state = 'STARTED'\"",
    ],
)
def test_a_write_of_a_state_is_found(source):
    assert set(writes(source)) == {1}


@pytest.mark.parametrize(
    "source",
    [
        'nodes().filter(state="QUEUED").update(hold="")',
        '"UPDATE {node} SET hold = %s WHERE state = %s"',
        "state = row.state",
        'move(rows, ["QUEUED"], "STARTED")',
    ],
)
def test_a_read_of_a_state_is_not_found(source):
    assert not list(writes(source))
