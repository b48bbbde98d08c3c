"""``add_tree()``: copies of trees inside other trees."""

from typing import Any

import pytest

from django_tasktree import ITEM, TaskTree
from django_tasktree.builder.nodes import AddedTreeNode
from django_tasktree.encoding.references import Output
from django_tasktree.exceptions import BrokenReference, InvalidOption
from django_tasktree.testing import registered, run_tree
from tests.sample.map_tasks import numbers
from tests.sample.sub_run_tasks import report
from tests.sample.tasks import add, echo, fail, total


def sums(first=1):
    """Return a tree with a result: the sum of two numbers, twice."""
    tree = TaskTree("sums", on_failure="stop", max_active=5)
    one = tree.add_task(add, [first, 1], label="one", queue="fast")
    one.add_task(echo, kwargs={"value": {"of one": [one.output]}}, label="two")
    tree.gather(total, [tree.outputs], label="sum")
    return tree


def with_result():
    tree = sums()
    tree.returns({"sum": tree.children[1].output, "constant": 1})
    return tree


class TestCopies:
    def test_the_tree_stays_and_can_be_added_several_times(self):
        inner, outer = with_result(), TaskTree()
        first = outer.add_tree(inner, label="a")
        second = outer.add_tree(inner, label="b")
        assert [node.label for node in inner.children] == ["one", "sum"]
        assert isinstance(first, AddedTreeNode)
        assert [node.label for node in first.children] == ["one", "sum"]
        assert first.children[0] is not second.children[0]
        assert first.children[0].parent is first
        assert (first.rules.on_failure, first.rules.max_active) == ("stop", 5)
        assert (first.task, first.options) == ("django_tasktree.fork", {"queue": "fast"})
        assert len(first.children[0].children) == 1
        first.children[0].kwargs["more"] = 1
        assert "more" not in inner.children[0].kwargs

    def test_outputs_become_those_of_the_copies(self):
        inner, outer = with_result(), TaskTree()
        added = outer.add_tree(inner)
        one, gather = added.children
        assert one.children[0].kwargs == {"value": {"of one": [one.output]}}
        assert gather.args == (added.outputs,)
        assert added.output == {"sum": gather.output, "constant": 1}
        assert inner.children[1].args == (inner.outputs,)

    def test_the_result_without_a_declared_one(self):
        outer = TaskTree()
        gathered = outer.add_tree(sums())
        assert gathered.output == gathered.children[1].output
        plain = TaskTree()
        plain.add_task(echo, [1])
        plain.add_task(echo, [2])
        added = outer.add_tree(plain)
        assert added.output == added.children[1].output
        assert outer.add_tree(TaskTree()).output is None

    def test_a_tree_in_a_tree_in_a_tree(self):
        middle = TaskTree()
        middle.add_tree(with_result())
        outer = TaskTree()
        added = outer.add_tree(middle)
        (innermost,) = added.children
        assert isinstance(innermost, AddedTreeNode)
        assert added.output == innermost.output == {"sum": innermost.children[1].output, "constant": 1}

    def test_a_tree_can_be_added_to_itself(self):
        tree = sums()
        added = tree.children[0].add_tree(tree)
        assert [node.label for node in added.children] == ["one", "sum"]
        assert len(added.children[0].children) == 1

    def test_maps_waits_and_quorums(self):
        inner = TaskTree()
        source = inner.add_task(numbers, [3])
        mapped = source.map(add, over=source.output, args=[ITEM, 1], label="mapped", tolerate=1)
        mapped.each.add_task(echo, [mapped.each.output], label="below")
        mapped.gather(total, [mapped.outputs], label="total", when="any")
        inner.wait_for("ok")
        added = TaskTree().add_tree(inner)
        copy: Any = added.children[0].children[0]
        assert copy.over == added.children[0].output
        assert copy.each.parent is copy
        assert copy.each.children[0].args == (copy.each.output,)
        assert (copy.tolerate, copy.children[0].rules.quorum) == (1, "1")
        waits: list[Any] = [added.children[1], inner.children[1]]
        assert waits[0].spec == waits[1].spec

    def test_a_chain_of_ten_thousand_nodes(self):
        tree = TaskTree()
        node: Any = tree
        for _ in range(10_000):
            node = node.add_task(echo)
        node = TaskTree().add_tree(tree)
        depth = 0
        while node.children:
            node, depth = node.children[0], depth + 1
        assert depth == 10_000


class TestRuns:
    def test_a_gather_node_beside_it_uses_the_result(self, db):
        outer = TaskTree()
        top = outer.add_task(echo, [5], label="top")
        copies = [top.add_tree(sums(number), label=f"g{number}") for number in (1, 2)]
        gather = top.gather(total, [[added.output for added in copies]], label="end")
        gather.add_task(echo, [copies[0].output], label="after")
        run = run_tree(outer)
        assert run.state == "SUCCESS"
        assert run["top/end"].get() == 5
        assert run["top/end/after"].get() == 2
        assert run["top/g1/one/two"].get() == {"of one": [2]}

    def test_outputs_of_the_outer_tree_can_be_used_inside(self, db):
        outer = TaskTree()
        top = outer.add_task(echo, [5], label="top")
        inner = TaskTree()
        inner.add_task(add, [top.output, 1], label="six")
        top.add_tree(inner, label="inner")
        assert run_tree(outer)["top/inner/six"].get() == 6

    def test_a_failure_stops_only_the_tree_that_was_added(self, db):
        inner = TaskTree(on_failure="stop")
        inner.add_task(fail)
        inner.gather(echo, run_when="always")
        outer = TaskTree()
        outer.add_tree(inner, label="inner")
        outer.gather(echo, ["end"], label="end", run_when="always")
        run = run_tree(outer)
        assert (run.state, run["end"].get(), run["inner/1"].state) == ("FAILURE", "end", "REVOKED")

    def test_a_tree_for_each_item_of_a_map(self, db):
        inner = TaskTree()
        inner.returns(inner.add_task(add, [ITEM, 1], label="more").output)
        outer = TaskTree()
        mapped = outer.map(echo, over=[1, 2], label="mapped")
        added = mapped.each.add_tree(inner, label="inner")
        mapped.each.gather(echo, [added.output], label="end")
        run = run_tree(outer)
        assert [run[f"mapped/{number}/end"].get() for number in range(2)] == [2, 3]


class TestRefusals:
    def test_what_is_no_tree(self):
        tree = TaskTree()
        node = tree.add_task(echo)
        for wrong in (node, echo, None):
            with pytest.raises(InvalidOption, match="takes a tree"):
                tree.add_tree(wrong)  # type: ignore[arg-type]
        with registered(report) as (definition,), pytest.raises(InvalidOption, match="call the definition"):
            tree.add_tree(definition)  # type: ignore[arg-type]
        assert tree.children == [node]

    def test_a_label_that_is_taken(self):
        tree = TaskTree()
        tree.add_tree(sums(), label="a")
        with pytest.raises(InvalidOption, match="label"):
            tree.add_tree(sums(), label="a")

    def test_a_node_that_does_not_wait_for_the_tree(self, db):
        tree = TaskTree()
        top = tree.add_task(echo)
        added = top.add_tree(sums())
        added.add_task(echo, [added.output])
        with pytest.raises(BrokenReference, match=r"added with gather\(\) to node tree.children\[0\]"):
            tree.apply_async()

    def test_the_remedy_if_it_is_directly_under_the_tree(self, db):
        tree = TaskTree()
        added = tree.add_tree(sums())
        tree.add_task(echo, [added.output])
        with pytest.raises(BrokenReference, match=r"added with gather\(\) to the tree"):
            tree.apply_async()

    def test_a_handler_of_failures_directly_below(self, db):
        """The node above the copy never fails; a gather node handles the failures of the copy."""
        inner, tree = TaskTree(), TaskTree()
        inner.add_task(fail)
        added = tree.add_tree(inner, label="inner")
        with pytest.raises(InvalidOption, match=r"use gather\(…, run_when='failure'\)"):
            added.add_task(echo, run_when="failure")
        added.gather(echo, ["sorry"], label="handler", run_when="failure")
        assert run_tree(tree)["inner/handler"].get() == "sorry"

    def test_two_limits(self, db):
        tree = TaskTree()
        tree.add_task(echo, max_active=2).add_tree(sums())
        with pytest.raises(InvalidOption, match="max_active"):
            tree.apply_async()


def test_an_output_of_another_node_is_kept():
    other = TaskTree().add_task(echo)
    inner = TaskTree()
    inner.add_task(echo, [other.output["a"]])
    added = TaskTree().add_tree(inner)
    assert added.children[0].args == (Output(other, "output", ("a",)),)
