"""Pages of nodes as the lines of a terminal."""

from django_tasktree.encoding.ids import new_id
from django_tasktree.management.display.nodes import NodeRow
from django_tasktree.management.display.page import Page
from django_tasktree.management.display.tree_lines import tree_lines
from django_tasktree.states import NodeState


def row(name, parent=None, position=0, children=0, gather=False, state=NodeState.SUCCESS, **more):
    values = {"attempts": 1, "started_at": None, "finished_at": None, "error_type": "", "error_message": ""}
    return NodeRow(
        id=new_id(),
        parent_id=parent and parent.id,
        position=position,
        child_count=children,
        is_gather=gather,
        quorum="",
        sub_run_id=None,
        wait=None,
        eta=None,
        label=None,
        task=f"shop.tasks.{name}",
        state=state,
        args="[]",
        kwargs="{}",
        **{**values, **more},
    )


def drawn(page, **options):
    return [line.plain for line in tree_lines(page, **options)]


def family():
    top = row("top", children=4)
    gather = row("total", top, 0, gather=True, state=NodeState.PENDING)
    first = row("first", top, 1, children=1)
    below = row("below", first)
    second = row("second", top, 2, state=NodeState.QUEUED)
    return top, gather, first, below, second


def test_siblings_are_in_order_and_gather_nodes_last():
    top, gather, first, below, second = family()
    page = Page.of([second, below, gather, top, first], roots=1)
    assert drawn(page) == [
        "✔ top()",
        "├─ ✔ first()",
        "│  └─ ✔ below()",
        "├─ ◦ second()",
        "├─ … 1 more",
        "└─ · total() gather",
    ]


def test_the_line_of_a_parent_shows_the_number_of_omitted_children():
    top, gather, first, *_ = family()
    assert drawn(Page.of([top, first, gather], roots=3), compact=True) == [
        "✔ top() +2",
        "├─ ✔ first() +1",
        "└─ · total() gather",
        "… 2 more",
    ]


def test_the_line_of_a_node_shows_the_number_of_its_children_if_none_is_on_the_page():
    assert drawn(Page.of([row("top", children=12345)], roots=1)) == ["✔ top() +12,345"]


def test_a_line_shows_attempts_and_errors():
    failed = row("top", state=NodeState.FAILURE, attempts=3, error_type="builtins.OSError", error_message="no\nroute")
    assert drawn(Page.of([failed], roots=1)) == ["✘ top() attempt 3 OSError: no route"]


def test_a_node_whose_parent_is_not_on_the_page_is_at_the_top():
    orphan = row("deep", parent=row("unseen"))
    assert drawn(Page.of([orphan], roots=0)) == ["✔ deep()"]


def test_a_long_chain_is_drawn_without_recursion():
    rows = [row("step", children=1)]
    for _ in range(20_000):
        rows.append(row("step", rows[-1], children=1))
    page = Page.of(rows, roots=1)
    assert sum(1 for _ in page.walk()) == len(rows)
    lines = drawn(page)
    assert len(lines) == len(rows)
    assert max(map(len, lines)) < 60


def test_an_empty_page_has_no_lines():
    assert drawn(Page.of([], roots=0)) == []
