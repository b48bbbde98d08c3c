"""Nodes that start a run of a definition: its parameters, its result and its failure."""

import pytest

from django_tasktree import TaskTree, TreeResult
from django_tasktree.definitions.registry import get_definition
from django_tasktree.exceptions import (
    InvalidDefinition,
    InvalidParameter,
    RunsTooDeep,
    SubRunFailed,
    UnknownDefinition,
)
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.testing import registered, run_tree
from tests.integration.control.sub_runs.runs import sub_run_of
from tests.sample.sub_run_tasks import report
from tests.sample.tasks import echo, fail


def with_report(**params):
    tree = TaskTree("outer")
    day = tree.add_task(echo, [7], label="day")
    node = day.add_run("report", {"day": day.output, **params}, label="report")
    node.add_task(echo, [node.output["total"]], label="after")
    node.add_task(echo, ["sorry"], label="sorry", run_when="failure")
    return tree


class TestResult:
    def test_the_result_of_the_run_becomes_that_of_the_node(self, world):
        run = with_report().apply_async()
        world.deliver_all("w")
        assert run.wait(1) == "SUCCESS"
        assert run["day/report"].get() == {"total": 108}
        assert run["day/report/after"].get() == 108
        assert run["day/report/sorry"].state == "SKIPPED"
        sub_run = sub_run_of(run["day/report"])
        assert (sub_run.run.definition, sub_run.run.params, sub_run.run.depth) == (
            "report",
            {"day": 7, "fails": False},
            1,
        )
        assert sub_run.value() == {"total": 108}

    def test_the_node_waits_without_a_message_and_without_a_place_under_a_limit(self, world):
        tree = TaskTree(max_active=1)
        node = tree.add_run("asking", label="asking")
        tree.add_task(echo, ["beside"], label="beside")
        run = tree.apply_async()
        world.deliver_all("w")
        assert (run["asking"].state, run["beside"].state, run.state) == ("WAITING", "SUCCESS", "STARTED")
        sub_run_of(run[node]).send_event("ok", {"by": 7})
        world.deliver_all("w")
        assert (run["asking"].get(), run.state) == ({"by": 7}, "SUCCESS")
        assert NodeRun.objects.get(id=run["asking"].id).attempts == 1

    def test_in_eager_mode(self, db):
        run = run_tree(with_report())
        assert (run.state, run["day/report/after"].get()) == ("SUCCESS", 108)

    def test_a_tree_without_a_result(self, db):
        tree = TaskTree()
        node = tree.add_run("silent", label="silent")
        assert run_tree(tree)["silent"].get() is None
        assert node.args == ("silent", {})

    def test_an_empty_tree(self, db):
        def empty() -> TaskTree:
            return TaskTree("empty")

        with registered(empty):
            tree = TaskTree()
            tree.add_run("empty", label="empty")
            run = run_tree(tree)
        assert (run.state, run["empty"].get()) == ("SUCCESS", None)

    def test_the_run_belongs_to_the_user_who_launched_the_first(self, db, admin_user):
        run = run_tree(with_report(), launched_by=admin_user)
        assert sub_run_of(run["day/report"]).run.launched_by == admin_user


class TestFailure:
    def test_the_failure_of_the_run_becomes_that_of_the_node(self, world):
        run = with_report(fails=True).apply_async()
        world.deliver_all("w")
        assert run.state == "FAILURE"
        sub_run = sub_run_of(run["day/report"])
        with pytest.raises(SubRunFailed, match=rf"run {sub_run.id} \(report\) has failed at node .*\(bad\).*it broke"):
            run["day/report"].get()
        assert run["day/report/sorry"].get() == "sorry"
        assert run["day/report/after"].state == "SKIPPED"

    def test_the_error_names_the_innermost_run(self, world):
        def broken(levels: int) -> TaskTree:
            tree = TaskTree("broken")
            if levels:
                tree.add_run("broken", {"levels": levels - 1}, label="inner")
            else:
                tree.add_task(fail, ["it broke"])
            return tree

        tree = TaskTree()
        with registered(broken):
            tree.add_run("broken", {"levels": 2}, label="outer")
            run = tree.apply_async()
            world.deliver_all("w")
        innermost = TreeRun.objects.get(depth=3)
        with pytest.raises(SubRunFailed) as caught:
            run["outer"].get()
        assert str(caught.value).startswith(f"run {innermost.id} (broken) has failed at node ")
        assert str(caught.value).count("has failed at") == 1
        assert "it broke" in str(run["outer"].traceback)

    def test_a_run_that_a_map_has_stopped_fails_the_node(self, world):
        def strict() -> TaskTree:
            tree = TaskTree(on_failure="stop")
            tree.map(fail, over=["one", "two"], tolerate=0)
            return tree

        tree = TaskTree()
        with registered(strict):
            node = tree.add_run("strict", label="strict")
            run = tree.apply_async()
            world.deliver_all("w")
        assert (sub_run_of(run[node]).state, run[node].state, run.state) == ("FAILURE", "FAILURE", "FAILURE")

    def test_a_revoked_run_fails_the_node(self, world):
        tree = TaskTree()
        tree.add_run("asking", label="asking")
        run = tree.apply_async()
        world.deliver_all("w")
        sub_run_of(run["asking"]).revoke()
        with pytest.raises(SubRunFailed, match="has ended as REVOKED"):
            run["asking"].get()
        assert run.state == "FAILURE"

    def test_a_failure_stops_the_tree_if_it_says_so(self, world):
        tree = TaskTree(on_failure="stop")
        tree.add_run("asking", label="asking")
        tree.add_task(fail)
        run = tree.apply_async()
        world.deliver_all("w")
        assert (run.state, run["asking"].state) == ("FAILURE", "REVOKED")
        sub_run = sub_run_of(run["asking"])
        assert sub_run.state == "REVOKED"
        assert "does not wait for it any more" in sub_run.run.error_message

    def test_parameters_are_checked_again_when_the_node_runs(self, db):
        tree = TaskTree()
        word = tree.add_task(echo, ["monday"])
        word.add_run("report", {"day": word.output}, label="report")
        run = run_tree(tree)
        with pytest.raises(InvalidParameter, match="'day' of definition 'report'"):
            run["0/report"].get()

    def test_a_recursion_without_an_end(self, db, settings):
        settings.TASKTREE = {"MAX_RUN_DEPTH": 3}
        tree = TaskTree()
        tree.add_run("endless", label="endless")
        run = run_tree(tree)
        assert run.state == "FAILURE"
        assert sorted(TreeRun.objects.values_list("depth", flat=True)) == [0, 1, 2, 3]
        deepest = TreeRun.objects.get(depth=3)
        with pytest.raises(RunsTooDeep, match="MAX_RUN_DEPTH"):
            TreeResult(deepest.id).children[0].get()

    def test_a_deep_nesting_ends_in_a_loop(self, world):
        tree = TaskTree()
        tree.add_run("nested", {"levels": 15}, label="nested")
        run = tree.apply_async()
        world.deliver_all("w")
        deepest = TreeRun.objects.latest("depth")
        assert deepest.depth == 16
        TreeResult(deepest.id).send_event("ok", "deep")
        assert (run.state, run["nested"].get()) == ("SUCCESS", "deep")


class TestBuilding:
    def test_a_definition_instead_of_its_name(self):
        node = TaskTree().add_run(get_definition("report"), {"day": 7})
        assert node.args == ("report", {"day": 7, "fails": False})

    def test_what_can_be_checked_when_the_tree_is_built(self):
        tree = TaskTree()
        day = tree.add_task(echo)
        with pytest.raises(UnknownDefinition, match="did you mean 'report'"):
            tree.add_run("raport")
        with pytest.raises(InvalidParameter, match="needs the parameter 'day'"):
            tree.add_run("report")
        with pytest.raises(InvalidParameter, match="'dai': did you mean 'day'"):
            day.add_run("report", {"dai": day.output})
        with pytest.raises(InvalidParameter, match="parameter 'fails' of definition 'report'"):
            day.add_run("report", {"day": day.output, "fails": "perhaps"})
        with pytest.raises(InvalidParameter, match="must be a dict"):
            tree.add_run("report", [1])  # type: ignore[arg-type]
        with pytest.raises(InvalidDefinition, match="decorate the function"):
            tree.add_run(report)
        assert len(tree.children) == 1
        assert not day.children
