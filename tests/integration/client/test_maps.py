"""Maps: a node that makes a child for each item of a list."""

from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from django.test import override_settings

from django_tasktree import ITEM, NodeResult, TaskTree, TreeResult
from django_tasktree.client import map_task
from django_tasktree.drafts.read import read_rows
from django_tasktree.engine.lifecycle import expand
from django_tasktree.exceptions import BrokenReference, InvalidOption, NotPossible, SerializationError
from django_tasktree.models import HistoryEntry, NodeRun
from tests.sample.map_tasks import (
    OddNumber,
    described,
    halve,
    make_effects,
    map_own_numbers,
    note_of,
    notes_of,
    numbers,
)
from tests.sample.models import Effect
from tests.sample.tasks import add, echo, fail, total

pytestmark = [pytest.mark.usefixtures("database", "eager"), pytest.mark.django_db(transaction=True)]


def before_inserting(first, act):
    """Call a function before the children from a position on are inserted: a context manager; batches have 5 nodes."""
    insert = expand.insert_children

    def acting(node, specs, position, tolerated):
        if position == first:
            act(node)
        return insert(node, specs, position, tolerated)

    return mock.patch.object(map_task, "insert_children", acting)


def value_of(build):
    """Return the result of a tree, read in another process."""
    tree = TaskTree()
    tree.returns(build(tree))
    return TreeResult(tree.apply_async().id).value()


class TestItems:
    def test_of_a_result(self):
        def build(tree):
            pages = tree.add_task(numbers, [4]).map(echo, over=tree.children[0].output)
            return [pages.output, pages.outputs]

        assert value_of(build) == [4, [0, 1, 2, 3]]

    def test_of_a_part_of_a_result(self):
        def build(tree):
            index = tree.add_task(echo, [{"pages": [{"url": "a"}, {"url": "b"}], "day": 7}])
            pages = index.map(described, over=index.output["pages"], args=[ITEM["url"], index.output["day"]])
            return pages.outputs

        assert value_of(build) == [["a", [7], {}], ["b", [7], {}]]

    @pytest.mark.parametrize(
        ("over", "expected"),
        [
            ([1, 2], [1, 2]),
            ((1, 2), [1, 2]),
            (range(3), [0, 1, 2]),
            ({"a": 1, "b": 2}, [["a", 1], ["b", 2]]),
            ({5}, [5]),
            ([], []),
        ],
    )
    def test_that_are_known(self, over, expected):
        assert value_of(lambda tree: tree.map(echo, over=over).outputs) == expected

    @pytest.mark.parametrize("over", [[1, 2], {"a": 1, "b": 2}, []])
    def test_of_results_of_other_types(self, over):
        def build(tree):
            source = tree.add_task(echo, [over])
            return source.map(echo, over=source.output).outputs

        expected = [list(pair) for pair in over.items()] if isinstance(over, dict) else over
        assert value_of(build) == expected

    def test_in_batches(self):
        def build(tree):
            source = tree.add_task(numbers, [7])
            known = tree.map(total, over=range(5), batch=2)
            return [source.map(total, over=source.output, batch=3).outputs, known.outputs, known.output]

        assert value_of(build) == [[0 + 1 + 2, 3 + 4 + 5, 6], [1, 5, 4], 3]

    def test_are_unpacked(self):
        def build(tree):
            pairs = tree.map(add, over=[(1, 2), (3, 4)], args=ITEM)
            named = tree.map(add, over=[{"x": 1, "y": 5}], kwargs=ITEM)
            both = tree.map(described, over=[{"x": 1}], args=["first"], kwargs=ITEM)
            return [pairs.outputs, named.outputs, both.outputs]

        assert value_of(build) == [[3, 7], [6], [["first", [], {"x": 1}]]]

    def test_as_keyword_arguments(self):
        assert value_of(lambda tree: tree.map(add, over=[1, 2], kwargs={"x": ITEM, "y": 10}).outputs) == [11, 12]

    def test_with_a_signature(self):
        assert value_of(lambda tree: tree.map(add.s(10), over=[1, 2]).outputs) == [11, 12]

    def test_that_are_outputs(self):
        def build(tree):
            first, second = tree.add_task(echo, ["a"]), tree.add_task(echo, ["b"])
            return tree.gather(echo).map(echo, over=[first.output, second.output, "c"]).outputs

        assert value_of(build) == ["a", "b", "c"]

    def test_rows_of_a_query(self):
        for number in range(5):
            Effect.objects.create(note=f"note {number}")
        query = Effect.objects.order_by("note")[1:4]

        def build(tree):
            rows, lists = tree.map(note_of, over=query), tree.map(notes_of, over=query, batch=2)
            return [rows.outputs, lists.outputs, tree.map(echo, over=query.values_list("note", flat=True)).outputs]

        notes = ["note 1", "note 2", "note 3"]
        assert value_of(build) == [notes, [notes[:2], notes[2:]], notes]

    def test_a_query_is_read_at_each_launch(self):
        tree = TaskTree()
        rows = tree.map(note_of, over=Effect.objects.all())
        assert tree.apply_async()[rows].get() == 0
        Effect.objects.create(note="new")
        assert tree.apply_async()[rows].get() == 1

    def test_rows_of_a_result_are_fetched_by_the_children(self, django_assert_max_num_queries):
        def build(tree):
            made = tree.add_task(make_effects, [3])
            return made.map(note_of, over=made.output).outputs

        assert value_of(build) == ["made 0", "made 1", "made 2"]

    @pytest.mark.parametrize("over", ["text", b"bytes", 5, None, (number for number in range(2))])
    def test_that_are_no_list(self, over):
        with pytest.raises(InvalidOption, match="over= of a map must be a list"):
            TaskTree().map(echo, over=over)

    def test_something_that_has_items(self):
        """The error names what gives them."""
        node = TaskTree().add_task(echo)
        for over, remedy in [
            (Effect.objects, r"manager of Effect: pass a QuerySet"),
            (Effect, r"Effect\.objects\.all\(\)"),
            (node, r"pass its output"),
            (echo, r"add it as a node"),
            (echo.s(), r"add it as a node"),
        ]:
            with pytest.raises(InvalidOption, match=remedy):
                TaskTree().map(echo, over=over)

    def test_of_a_result_that_is_no_list(self):
        tree = TaskTree()
        source = tree.add_task(echo, ["text"])
        pages = source.map(echo, over=source.output)
        after = pages.gather(echo, ["failed"], run_when="failure")
        run = tree.apply_async()
        with pytest.raises(InvalidOption, match=r"must be a list.* not of type str"):
            run[pages].get()
        assert run[after].get() == "failed"
        assert run.state == "FAILURE"

    def test_without_the_part(self):
        tree = TaskTree()
        source = tree.add_task(echo, [[{"url": "a"}, {}]])
        pages = source.map(echo, over=source.output, args=[ITEM["url"]])
        with pytest.raises(BrokenReference, match=r"ITEM\['url'\] does not exist: item 1 of the map is an empty dict"):
            tree.apply_async()[pages].get()
        # Also if other items have been stored before.
        with override_settings(TASKTREE={"BATCH_SIZE": 1}):
            tree.apply_async()
        assert not NodeRun.objects.filter(parent__task="django_tasktree.map").exists()

    def test_that_can_not_be_unpacked(self):
        tree = TaskTree()
        source = tree.add_task(echo, [[[1, 2], 3]])
        pages = source.map(add, over=source.output, args=ITEM)
        with pytest.raises(InvalidOption, match="args=ITEM needs a list for each item, but item 1"):
            tree.apply_async()[pages].get()

    def test_more_than_one_batch(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [23])
        pages = source.map(echo, over=source.output)
        known = tree.map(echo, over=range(23))
        both = tree.gather(echo, [[pages.outputs, known.outputs]])
        with override_settings(TASKTREE={"BATCH_SIZE": 5}):
            assert tree.apply_async()[both].get() == [list(range(23))] * 2

    def test_rows_of_a_query_with_related_rows(self):
        group = Group.objects.create(name="group")
        query = Group.objects.prefetch_related("permissions")
        assert value_of(lambda tree: tree.map(echo, over=query).outputs) == [group]

    def test_with_the_item_in_a_signature(self):
        assert value_of(lambda tree: tree.map(described.s(ITEM, 5), over=[1]).outputs) == [[1, [5], {}]]

    def test_that_can_not_be_stored(self):
        tree = TaskTree()
        tree.map(echo, over=[1, object()], label="pages")
        with pytest.raises(SerializationError, match=r"the children of <MapNode 'pages'.*item 1 of the map can't be"):
            tree.apply_async()


class TestLaunchedRuns:
    def test_a_map_of_a_result_is_added(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [3])
        run = tree.apply_async()
        pages = run[source].map(add, over=run[source].output, args=[ITEM, 10])
        parts = run.map(echo, over=["first", run[source].output])
        assert run.wait() == "SUCCESS"
        assert [child.get() for child in pages.children] == [10, 11, 12]
        assert [child.get() for child in parts.children] == ["first", [0, 1, 2]]

    def test_what_is_added_must_be_available(self):
        tree = TaskTree()
        failed = tree.add_task(fail)
        run = tree.apply_async()
        with pytest.raises(BrokenReference, match="which is FAILURE"):
            run.map(echo, over=[1, run[failed].output])
        with pytest.raises(BrokenReference, match="which is FAILURE"):
            run.map(add, over=[1], args=[ITEM, run[failed].output])

    def test_children_of_a_map_are_its_items(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [2])
        pages = source.map(echo, over=source.output)
        gathers = []

        def add_from_outside(node):
            handle = NodeResult(node.id)
            with pytest.raises(NotPossible, match="is a map, whose children are its items"):
                handle.add_task(echo)
            gathers.append(handle.gather(echo, ["end"]))

        with before_inserting(0, add_from_outside):
            run = tree.apply_async()
        assert run.state == "SUCCESS"
        assert [child.id for child in run[pages].children][2:] == [gather.id for gather in gathers]


class TestShape:
    def test_nodes_for_each_item(self):
        def build(tree):
            source = tree.add_task(numbers, [3])
            pages = source.map(echo, over=source.output)
            doubled = pages.each.add_task(add, [pages.each.output, pages.each.output], label="doubled")
            doubled.add_task(add, [doubled.output, pages.each.output])
            return [pages.outputs, pages.gather(echo, [pages.outcomes]).output[2]["result"]]

        assert value_of(build) == [[0, 1, 2], 2]
        last = NodeRun.objects.filter(parent__label="doubled").order_by("parent__parent__position")
        assert [row.result for row in last] == ["0", "3", "6"]

    def test_maps_in_maps(self):
        def build(tree):
            source = tree.add_task(echo, [[{"lines": [1, 2]}, {"lines": []}, {"lines": [3]}]])
            files = source.map(echo, over=source.output)
            lines = files.each.map(add, over=files.each.output["lines"], args=[ITEM, 10])
            lines.gather(total, [lines.outputs])
            inner = source.map(echo, over=source.output)
            of_item = inner.each.map(add, over=inner.each.output["lines"], args=[ITEM, 1])
            of_item.each.add_task(echo, [of_item.each.output])
            report = files.gather(echo, [files.outcomes])
            return report.output[0]["state"]

        assert value_of(build) == "SUCCESS"
        gathers = NodeRun.objects.filter(is_gather=True, parent__task="django_tasktree.map", task=total.name)
        assert sorted(str(row.result) for row in gathers) == ["0", "13", "23"]

    def test_the_list_of_an_inner_map_may_be_a_part_of_the_item(self):
        def build(tree):
            source = tree.add_task(echo, [[{"lines": [1, 2]}, {"lines": [5]}]])
            files = source.map(described, over=source.output, args=[ITEM["lines"]])
            inner = files.each.map(echo, over=[1, 2])
            inner.each.add_task(echo, [inner.each.output])
            return files.outputs

        assert value_of(build) == [[[1, 2], [], {}], [[5], [], {}]]

    def test_a_gather_node_comes_after_all_children(self):
        tree = TaskTree()
        pages = tree.map(echo, over=range(3), label="pages")
        pages.gather(total, [pages.outputs], label="sum")
        run = tree.apply_async()
        assert run["pages/sum"].get() == 3
        assert run["pages/2"].get() == 2
        assert [child.get() for child in run["pages"].children] == [0, 1, 2, 3]

    def test_pages_need_positions_without_gaps(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [3])
        pages = source.map(echo, over=source.output)
        pages.gather(echo)
        pages.gather(echo)
        inner = pages.each.map(echo, over=[1, 2])
        inner.gather(echo)
        known = tree.map(echo, over=range(3))
        known.gather(echo)
        run = tree.apply_async()
        run[source].rerun()
        assert run.wait() == "SUCCESS"
        parents = {row.parent_id for row in NodeRun.objects.filter(run_id=run.id, parent__isnull=False)}
        for parent in parents:
            places = NodeRun.objects.filter(parent_id=parent).order_by("position").values_list("position", flat=True)
            assert list(places) == list(range(len(places)))
            gathers = NodeRun.objects.filter(parent_id=parent, is_gather=True)
            assert all(row.position >= len(places) - len(gathers) for row in gathers)

    def test_a_task_adds_a_map(self):
        tree = TaskTree()
        node = tree.add_task(map_own_numbers, [4])
        last = node.gather(echo, [node.subtree_outputs])
        run = tree.apply_async()
        assert run.state == "SUCCESS"
        assert run[last].get() == [4]
        assert sorted(str(row.result) for row in NodeRun.objects.filter(task=halve.name)) == ["0", "1", "2", "3"]

    def test_a_map_is_added_to_a_run(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [3])
        run = tree.apply_async()
        below = run[source].map(echo, over=run[source].output, label="below", by="me")
        beside = run.map(echo, over=[5, 6])
        assert (below.get(), beside.get()) == (3, 2)
        assert [child.get() for child in below.children] == [0, 1, 2]
        assert run.state == "SUCCESS"

    def test_labels_options_and_limits(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [6])
        pages = source.map(echo, over=source.output, label="pages", max_active=2, priority=3, time_limit=60)
        run = tree.apply_async()
        row = NodeRun.objects.get(id=run[pages].id)
        assert (row.child_count, row.label, row.max_active) == (6, "pages", 2)
        children = NodeRun.objects.filter(parent=row)
        assert {child.limit_scope_id for child in children} == {row.id}
        assert {child.options for child in children} == {'{"priority": 3, "time_limit": 60}'}
        assert row.options == '{"priority": 3}'

    def test_children_are_no_concern_of_the_user(self):
        with pytest.raises(InvalidOption, match=r"add what follows each of them to its attribute 'each'"):
            TaskTree().map(echo, over=[1]).add_task(echo)

    def test_arguments_without_item(self):
        with pytest.raises(InvalidOption, match="do not contain ITEM"):
            TaskTree().map(echo, over=[1], args=[2])

    def test_the_item_has_no_value_yet(self):
        with pytest.raises(TypeError, match="ITEM has no value before the map runs"):
            TaskTree().map(echo, over=[1], args=[ITEM, f"page {ITEM}"])
        with pytest.raises(AttributeError, match=r"a part of it is ITEM\['url'\]"):
            getattr(ITEM, "url")  # noqa: B009  type checkers know that it has none

    def test_options_of_the_children_alone(self):
        options: dict[str, Any] = {"allow_failure": True}
        with pytest.raises(InvalidOption, match='tolerate="100%"'):
            TaskTree().map(echo, over=[1], **options)

    def test_item_outside_of_a_map(self):
        tree = TaskTree()
        tree.add_task(echo, [ITEM])
        with pytest.raises(InvalidOption, match="contain ITEM, but it is not below"):
            tree.apply_async()

    def test_item_in_the_result(self):
        tree = TaskTree()
        tree.returns([ITEM])
        with pytest.raises(InvalidOption, match="the result of the tree contains ITEM"):
            tree.apply_async()

    def test_the_handle_of_one_of_many(self):
        tree = TaskTree()
        below = tree.map(echo, over=[1]).each.add_task(echo)
        with pytest.raises(KeyError, match=r"for each item of a map.*\.children"):
            tree.apply_async()[below]

    def test_the_output_of_one_of_many(self):
        tree = TaskTree()
        pages = tree.map(echo, over=[1])
        pages.gather(echo, [pages.each.output])
        with pytest.raises(BrokenReference, match="runs for each item of a map: use the outputs of the map"):
            tree.apply_async()

    def test_outputs_before_the_end(self):
        tree = TaskTree()
        pages = tree.map(echo, over=[1])
        pages.each.add_task(echo, [pages.outputs])
        with pytest.raises(BrokenReference, match="may not have finished"):
            tree.apply_async()

    def test_limits_in_limits(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [1])
        pages = source.map(echo, over=source.output, max_active=2)
        pages.each.map(echo, over=[1], max_active=2)
        with pytest.raises(InvalidOption, match="only one limit can apply"):
            tree.apply_async()

    @pytest.mark.parametrize("batch", [0, -1, True, 1.5, "3"])
    def test_invalid_batches(self, batch):
        with pytest.raises(InvalidOption, match="batch="):
            TaskTree().map(echo, over=[1], batch=batch)


class TestFailures:
    def tolerant(self, count, tolerate, **rules):
        """Launch a map in which every second child fails, and return its run and its handle, and what gathers it."""
        tree = TaskTree(**rules)
        source = tree.add_task(numbers, [count])
        pages = source.map(halve, over=source.output, tolerate=tolerate)
        good = pages.gather(total, [pages.outputs])
        bad = pages.gather(echo, ["too many"], run_when="failure")
        run = tree.apply_async()
        return run, run[pages], run[good], run[bad]

    @pytest.mark.parametrize("tolerate", [3, "50%", "100%", 7])
    def test_few_enough(self, tolerate):
        run, pages, good, bad = self.tolerant(6, tolerate)
        assert (run.state, pages.state, good.state, bad.state) == ("SUCCESS", "SUCCESS", "SUCCESS", "SKIPPED")
        assert good.get() == 3
        assert not NodeRun.objects.get(id=pages.id).subtree_failed

    @pytest.mark.parametrize("tolerate", [2, "49%", "33.4%", 0, "0%"])
    def test_too_many(self, tolerate):
        run, pages, good, bad = self.tolerant(6, tolerate)
        assert (run.state, pages.state, good.state, bad.state) == ("FAILURE", "SUCCESS", "SKIPPED", "SUCCESS")
        most = pages.node.tolerated
        reason = f"more children of node {pages.id} (map) have failed than it tolerates ({most})"
        assert run.run.error_message == reason

    def test_the_run_says_only_what_makes_it_fail(self):
        tree = TaskTree()
        outer = tree.map(echo, over=[0], tolerate=1)
        outer.each.map(halve, over=[1, 3], tolerate=1, label="inner")
        run = tree.apply_async()
        assert run.state == "SUCCESS"
        assert run[outer].children[0]["inner"].node.subtree_failed
        assert run.run.error_message == ""

    def test_a_going_run_says_why_it_will_fail_until_children_are_run_again(self):
        tree = TaskTree()
        pages = tree.map(halve, over=[1, 2], tolerate=0)
        tree.wait_for("ok", label="ok")
        run = tree.apply_async()
        assert run.state == "STARTED"
        assert "have failed than it tolerates (0)" in run.run.error_message
        run[pages].children[0].complete(0)
        # The other child was revoked.
        assert "have failed than it tolerates (0)" in run.run.error_message
        run[pages].children[1].complete(1)
        assert run.run.error_message == ""
        run["ok"].complete()
        assert (run.wait(), run.run.error_message) == ("SUCCESS", "")

    def test_the_rest_stops(self):
        run, pages, _good, bad = self.tolerant(50, 1)
        children = [child.state for child in pages.children][:50]
        # 1 and 3 are the odd numbers that fail first.
        assert children[:4] == ["SUCCESS", "FAILURE", "SUCCESS", "FAILURE"]
        assert set(children[4:]) == {"REVOKED"}
        assert bad.get() == "too many"
        entry = HistoryEntry.objects.get(run_id=run.id, action="stop")
        assert (entry.node_id, entry.nodes) == (pages.id, 46)
        assert "(map) have failed than it tolerates (1)" in entry.note

    def test_without_tolerance_the_others_continue(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [4])
        pages = source.map(halve, over=source.output)
        run = tree.apply_async()
        assert [child.state for child in run[pages].children] == ["SUCCESS", "FAILURE"] * 2
        assert run.state == "FAILURE"

    def test_tolerated_failures_do_not_stop_the_tree(self):
        run, _pages, good, _bad = self.tolerant(6, 3, on_failure="stop")
        assert (run.state, good.state) == ("SUCCESS", "SUCCESS")

    def test_too_many_failures_stop_the_tree(self):
        tree = TaskTree(on_failure="stop")
        tree.map(halve, over=[1, 2, 3], tolerate=1)
        later = tree.gather(echo, run_when="always")
        run = tree.apply_async()
        assert (run.state, run[later].state) == ("FAILURE", "REVOKED")
        assert run.run.error_message.endswith("than it tolerates (1), and on_failure is 'stop'")

    def test_failures_below_a_child_count_once(self):
        tree = TaskTree()
        pages = tree.map(echo, over=range(4), tolerate=3)
        pages.each.add_task(fail)
        pages.each.add_task(fail)
        assert tree.apply_async().state == "FAILURE"
        pages.tolerate = 4
        assert tree.apply_async().state == "SUCCESS"

    def test_failures_far_below_a_child_stop_the_rest(self):
        tree = TaskTree()
        pages = tree.map(echo, over=range(10), tolerate=1)
        pages.each.add_task(echo).add_task(echo).add_task(echo).add_task(echo).add_task(fail)
        run = tree.apply_async()
        states = [child.state for child in run[pages].children]
        assert states == ["SUCCESS"] * 10
        entry = HistoryEntry.objects.get(run_id=run.id, action="stop")
        assert (entry.node_id, run.state) == (run[pages].id, "FAILURE")

    def test_the_rest_stops_in_batches(self, database):
        tree = TaskTree()
        pages = tree.map(echo, over=[list(range(30))] * 5, tolerate=0)
        pages.each.map(halve, over=ITEM)
        numbers_of_values = []

        def note(execute, sql, params, many, context):
            if sql.startswith(("SELECT", "UPDATE")):
                numbers_of_values.append(len(params or ()))
            return execute(sql, params, many, context)

        with override_settings(TASKTREE={"BATCH_SIZE": 20}), connections[database].execute_wrapper(note):
            run = tree.apply_async()
        assert run.state == "FAILURE"
        assert max(numbers_of_values) < 60

    def test_a_gather_node_is_not_tolerated(self):
        tree = TaskTree()
        pages = tree.map(halve, over=[1, 2], tolerate="50%")
        pages.gather(fail)
        assert tree.apply_async().state == "FAILURE"

    def test_of_a_known_list(self):
        tree = TaskTree()
        pages = tree.map(halve, over=range(10), tolerate="20%")
        run = tree.apply_async()
        states = [child.state for child in run[pages].children]
        assert states[:6] == ["SUCCESS", "FAILURE"] * 3
        assert set(states[6:]) == {"REVOKED"}

    @pytest.mark.parametrize("tolerate", [-1, True, 0.02, "2", "101%", "-1%", "many", "2 %%"])
    def test_invalid_tolerance(self, tolerate):
        with pytest.raises(InvalidOption, match="tolerate="):
            TaskTree().map(echo, over=[1], tolerate=tolerate)


class TestActions:
    def test_rerun_makes_the_children_again(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [3])
        pages = source.map(echo, over=source.output)
        report = pages.gather(total, [pages.outputs])
        run = tree.apply_async()
        before = {child.id for child in run[pages].children}
        run[source].rerun()
        assert run.wait() == "SUCCESS"
        after = {child.id for child in run[pages].children}
        assert len(after) == 4
        assert before & after == {run[report].id}
        assert run[report].get() == 3

    def test_a_run_that_ends_while_its_children_are_made(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [23])
        pages = source.map(echo, over=source.output)
        last = pages.gather(total, [pages.outputs])
        with (
            override_settings(TASKTREE={"BATCH_SIZE": 5}),
            before_inserting(10, lambda node: TreeResult(node.run_id).revoke()),
        ):
            run = tree.apply_async()
        assert (run.state, run[pages].state) == ("REVOKED", "FAILURE")
        with pytest.raises(NotPossible, match="ended before the map had made all children: retry it"):
            run[pages].get()
        assert set(
            NodeRun.objects.filter(parent_id=run[pages].id, is_gather=False).values_list("state", flat=True)
        ) == {"REVOKED"}
        run.retry()
        assert run.wait() == "SUCCESS"
        assert run[last].get() == sum(range(23))

    def test_children_are_removed_with_everything_below_them(self):
        tree = TaskTree()
        source = tree.add_task(echo, [[{"url": text} for text in "abcde"] + [{}]])
        pages = source.map(echo, over=source.output, args=[ITEM["url"]])
        pages.each.add_task(echo, [pages.each.output]).add_task(echo)
        remove, left = expand._remove_last, []

        def removing(node):
            """Add a node below each child that is left, as if another process did so."""
            below = NodeRun.objects.filter(parent__parent__parent_id=node.id)
            left.append(below.count())
            for key in list(below.values_list("id", flat=True)):
                NodeResult(key).add_task(echo, ["late"])
            return remove(node)

        with (
            override_settings(TASKTREE={"BATCH_SIZE": 2}),
            mock.patch.object(expand, "_remove_last", removing),
        ):
            run = tree.apply_async()
        # If a process is lost between two batches, each child that is left has everything that belongs to it.
        assert left == [4, 2, 0]
        with pytest.raises(BrokenReference, match="item 5 of the map"):
            run[pages].get()
        assert NodeRun.objects.filter(run_id=run.id).count() == 2
        assert NodeRun.objects.get(id=run[pages].id).child_count == 0

    def test_another_attempt_may_get_other_items(self):
        tree = TaskTree()
        late = tree.add_task(fail, allow_failure=True)
        for note in "bc":
            tree.add_task(echo, [note])
        first = tree.gather(echo, when="any")
        pages = first.map(echo, over=tree.outputs)
        pages.each.add_task(echo, [pages.each.output])

        def fail_once(_node):
            raise OSError("the database is away")

        with override_settings(TASKTREE={"BATCH_SIZE": 1}):
            with before_inserting(1, fail_once):
                run = tree.apply_async()
            assert [child.state for child in run[pages].children] == ["SKIPPED"]
            run[late].complete("a")
            run[pages].retry()
        assert run.wait() == "SUCCESS"
        assert [child.get() for child in run[pages].children] == ["a", "b", "c"]
        assert NodeRun.objects.get(id=run[pages].id).child_count == 3

    def test_another_attempt_continues(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [12])
        pages = source.map(echo, over=source.output)

        def fail_once(_node):
            raise OSError("the database is away")

        with override_settings(TASKTREE={"BATCH_SIZE": 5}):
            with before_inserting(5, fail_once):
                run = tree.apply_async()
            before = [child.id for child in run[pages].children]
            run.retry()
        assert len(before) == 5
        assert [child.get() for child in run[pages].children] == list(range(12))
        assert [child.id for child in run[pages].children][:5] == before

    def test_retry_of_failed_children(self):
        run, pages, good, _bad = TestFailures().tolerant(6, 2)
        run.retry()
        assert run.wait() == "FAILURE"
        pages.children[1].complete(5)
        # Now as many have failed as are tolerated.
        assert run.wait() == "SUCCESS"
        assert run.run.error_message == ""
        assert good.get() == 0 + 5 + 1 + 2

    def test_a_copy_has_maps_of_its_own(self):
        tree = TaskTree()
        source = tree.add_task(numbers, [3])
        pages = source.map(echo, over=source.output, label="pages", tolerate=1)
        doubled = pages.each.add_task(add, [pages.each.output, source.output[1]])
        doubled.map(echo, over=[1, doubled.output]).each.add_task(echo, [source.output])
        tree.returns([pages.outputs, pages.output])
        run = tree.apply_async()
        copy = run.copy()
        assert copy.id != run.id
        assert copy.wait() == "SUCCESS"
        assert copy.value() == [[0, 1, 2], 3]
        assert copy["0/pages/2"].children[0].get() == 3
        assert NodeRun.objects.filter(run_id=copy.id).count() == NodeRun.objects.filter(run_id=run.id).count()
        stored = " ".join(NodeRun.objects.filter(run_id=copy.id).values_list("args", flat=True))
        assert run[source].id.hex not in stored

    def test_a_tolerance_can_not_be_edited_by_hand(self):
        tree = TaskTree()
        tree.map(echo, over=[1], tolerate=1)
        draft = tree.apply_async(draft=True)
        with pytest.raises(NotPossible, match="is a map, which can't be edited"):
            read_rows(draft.id)

    def test_odd_numbers_are_errors_of_their_nodes(self):
        _run, pages, _good, _bad = TestFailures().tolerant(2, 1)
        with pytest.raises(OddNumber):
            pages.children[1].get()
