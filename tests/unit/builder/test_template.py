"""The stored form of the nodes of a map's items."""

import json
from uuid import UUID

from django_tasktree.builder.template import Template
from django_tasktree.engine.types import NodeSpec
from django_tasktree.states import RunWhen

NODE = NodeSpec(
    id=UUID(int=1),
    parent_id=UUID(int=2),
    position=0,
    task="load",
    args="[]",
    kwargs="{}",
    options="{}",
    has_references=False,
    run_when=RunWhen.SUCCESS,
    is_gather=False,
    child_count=0,
    label="a",
    quorum="80%",
)


def test_it_is_read_as_it_was():
    template = Template("[1]", 10, "2%", (NODE,))
    assert Template.read(template.text()) == template


def test_of_another_version():
    stored = json.loads(Template("[1]", None, None, (NODE,)).text())
    quorum = stored["columns"].index("quorum")
    for columns in (stored["columns"], *stored["nodes"]):
        del columns[quorum]
        columns.append("of a later version")
    (node,) = Template.read(json.dumps(stored)).nodes
    assert (node.quorum, node.label) == ("", "a")
