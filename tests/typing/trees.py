"""Trees and their handles for type checkers; nothing here is executed."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django_tasktree import NodeResult, TaskTree, TaskTreeNode, TreeResult, bulk
from django_tasktree.client.node_result import NodeGroup
from django_tasktree.encoding.references import Output
from django_tasktree.engine.types import Effect
from django_tasktree.models import TreeRun
from django_tasktree.states import OnFailure, RunWhen
from django_tasktree.types import LaunchOptions, NodeOptions
from tests.typing.tasks import count, fetch

if TYPE_CHECKING:
    from typing_extensions import assert_type


def nodes_have_the_type_of_the_result() -> None:
    tree = TaskTree("letters", on_failure="stop", max_active=3)
    node = tree.add_task(fetch, ["2026-01-31"], {"limit": 3})
    assert_type(node, TaskTreeNode[list[str]])
    assert_type(node.gather(count, [node.output]), TaskTreeNode[int])
    assert_type(tree.push(count, args=([],)), TaskTreeNode[int])
    assert_type(tree.pop(), TaskTreeNode[Any])
    assert_type(node.children, list[TaskTreeNode[Any]])
    assert_type(TaskTree.from_canvas(fetch.s("2026-01-31"), max_active=3), TaskTree)


def outputs_refer_to_the_result(node: TaskTreeNode[list[str]], tree: TaskTree) -> None:
    assert_type(node.output, Output[list[str]])
    assert_type(node.output[0], Output[Any])
    assert_type(tree.outputs, Output[list[Any]])
    assert_type(tree.outcomes, Output[list[dict[str, Any]]])


def outputs_have_no_value_yet(node: TaskTreeNode[int]) -> None:
    node.output + 1  # type: ignore[operator]
    node.output < 1  # type: ignore[operator]
    len(node.output)  # type: ignore[arg-type]
    int(node.output)  # type: ignore[call-overload]
    for _item in node.output:  # type: ignore[misc]
        pass
    list(node.output)  # type: ignore[call-overload]
    node.output.real  # type: ignore[attr-defined]
    tree: TaskTree = TaskTree()
    tree.output  # type: ignore[attr-defined]


def handles_return_the_result(tree: TaskTree) -> None:
    node = tree.add_task(fetch)
    result = tree.apply_async()
    assert_type(result, TreeResult)
    assert_type(result[node], NodeResult[list[str]])
    assert_type(result[node].get(timeout=3), list[str])
    assert_type(result[node].get(propagate=False), list[str] | Exception | None)
    assert_type(result[node].wait(3), list[str])
    assert_type(result[node].parent, NodeResult[Any] | None)
    assert_type(result[node].async_result, NodeGroup)
    assert_type(result[0], NodeResult[Any])
    assert_type(result["load/orders"], NodeResult[Any])
    assert_type(result["load"]["orders"].label, str | None)
    assert_type(result.join(), list[Any])
    assert_type(NodeResult("1f0e").get(), Any)
    text: str = result[node].get()  # type: ignore[assignment]
    result[fetch]  # type: ignore[call-overload]
    del text


async def without_blocking(tree: TaskTree) -> None:
    node = tree.add_task(fetch)
    result = await tree.aapply_async(key="k", countdown=3)
    assert_type(await result[node].aget(), list[str])
    assert_type(await result[node].aget(propagate=False), list[str] | Exception | None)
    await tree.aapply_async(keys="k")  # type: ignore[call-arg]


def nodes_are_added_to_runs(result: TreeResult, node: NodeResult[str]) -> None:
    assert_type(result.add_task(fetch, by="me", run_when="always"), NodeResult[list[str]])
    assert_type(node.gather(count, [node.output]), NodeResult[int])
    assert_type(node.retry(by="me"), Effect)
    assert_type(bulk(TreeRun.objects.all()).pause().missing, list[UUID])
    node.add_task(fetch, run_wen="always")  # type: ignore[call-arg]


def options_of_nodes(tree: TaskTree, node: TaskTreeNode, shared: NodeOptions) -> None:
    node.add_task(fetch, priority=3, queue="slow", countdown=1.5, run_when="failure", on_failure="stop", max_active=2)
    node.add_task(fetch, run_when=RunWhen.ALWAYS, on_failure=OnFailure.STOP, allow_failure=True, priority=None)
    node.gather(fetch, on_worker_lost="fail", max_deliveries=1, expires=datetime(2030, 1, 1), time_limit=3)
    tree.push(fetch, run_when="always", shadow="a name")
    tree.push(fetch, **shared)
    tree.add_task(fetch, prioritty=3)  # type: ignore[call-arg]
    tree.add_task(fetch, priority="high")  # type: ignore[arg-type]
    tree.add_task(fetch, run_when="sometimes")  # type: ignore[arg-type]
    tree.add_task(fetch, on_failure="retry")  # type: ignore[arg-type]
    tree.add_task(fetch, on_worker_lost="give up")  # type: ignore[arg-type]
    tree.add_task(fetch, link=count.s())  # type: ignore[call-arg]
    tree.push(fetch, run_when="sometimes")  # type: ignore[arg-type]
    tree.gather(fetch, max_active="3")  # type: ignore[arg-type]
    tree.add_task(fetch, 3)  # type: ignore[arg-type]
    tree.add_task(fetch, ["2026-01-31"], ["limit"])  # type: ignore[arg-type]
    TaskTree(on_failure="retry")  # type: ignore[arg-type]
    TaskTree.from_canvas(fetch.s(), max_activ=3)  # type: ignore[call-arg]


def options_of_launches(tree: TaskTree, shared: LaunchOptions) -> None:
    tree.apply_async(key="k", name="n", draft=True, eta=datetime(2030, 1, 1), deadline=timedelta(hours=1))
    tree.apply_async(**shared)
    assert_type(tree.apply_and_join(3, key="k"), list[Any])
    tree.apply_async(nonsense=1)  # type: ignore[call-arg]
    tree.apply_and_join(nonsense=1)  # type: ignore[call-arg]
    tree.apply_and_join(countdown="3")  # type: ignore[arg-type]
