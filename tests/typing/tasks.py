"""Tasks for type checkers; nothing here is executed. Each ``type: ignore`` marks an error that they must report."""

from typing import TYPE_CHECKING, Any

from celery import Task, shared_task
from celery.result import AsyncResult

from django_tasktree import CallbackTask, NodeResult, TaskTree, current_node, run_with_callbacks, task_with_callbacks
from django_tasktree.encoding.references import Output
from django_tasktree.worker.context import RunningNode

if TYPE_CHECKING:
    from typing_extensions import assert_type


@task_with_callbacks
def fetch(day: str, limit: int = 10) -> list[str]:
    return [day] * limit


@task_with_callbacks(name="count", atomic=True, on_worker_lost="fail", max_deliveries=2, max_retries=3)
def count(lines: list[str]) -> int:
    return len(lines)


@task_with_callbacks(bind=True, autoretry_for=(OSError,))
def fetch_again(self: CallbackTask, day: str) -> bytes:
    assert_type(self.request.retries, int)
    return day.encode()


@task_with_callbacks(chunk=50)
def encode(texts: list[str]) -> list[float]:
    return [float(len(text)) for text in texts]


@task_with_callbacks(chunk=50, bind=True, max_retries=3)
def encode_some(self: CallbackTask, texts: list[str]) -> list[float | Exception]:
    return [ValueError(text) for text in texts]


class Base(CallbackTask):
    abstract = True
    on_worker_lost = "fail"


@task_with_callbacks(base=Base)
def based(number: int) -> float:
    return number / 2


class Length(Task[..., Any]):
    @run_with_callbacks
    def run(self, text: str) -> int:
        return len(text)


class Sum(CallbackTask):
    def run(self, numbers: list[int]) -> int:
        return sum(numbers)


@shared_task
def plain(day: str) -> str:
    return day


def parameters_and_results_are_kept() -> None:
    assert_type(fetch("2026-01-31"), list[str])
    assert_type(fetch("2026-01-31", limit=3), list[str])
    assert_type(fetch.run("2026-01-31"), list[str])
    assert_type(count([""]), int)
    assert_type(fetch_again("2026-01-31"), bytes)
    assert_type(based(1), float)
    assert_type(fetch.delay("2026-01-31"), AsyncResult[list[str]])
    assert_type(fetch.delay_on_commit("2026-01-31"), AsyncResult[list[str]])
    assert_type(fetch.name, str)
    assert_type(fetch.atomic, bool | str)


def chunks_have_lists() -> None:
    assert_type(list(encode(["one", "two"])), list[float | Exception])
    encode("one", 3)  # type: ignore[arg-type, call-arg]
    assert_type(encode.delay("one"), AsyncResult[float])
    assert_type(encode.chunk, int | None)


def callbacks_outside_trees() -> None:
    assert_type(fetch("2026-01-31", callback=count.s()), list[str])
    assert_type(fetch.delay("2026-01-31", callback=[count.si([]), count.si([])]), NodeResult[list[str]])


def wrong_calls() -> None:
    fetch(31)  # type: ignore[call-overload]
    fetch()  # type: ignore[call-overload]
    fetch.delay(31)  # type: ignore[call-overload]
    fetch.delay("2026-01-31", limits=3)  # type: ignore[call-overload]
    fetch.run(31)  # type: ignore[arg-type]
    count.si(3)  # type: ignore[arg-type]
    fetch_again()  # type: ignore[call-overload]
    fetch_again(None, "2026-01-31")  # type: ignore[call-overload]


def wrong_options() -> None:
    task_with_callbacks(on_worker_lost="give up")  # type: ignore[call-overload]
    task_with_callbacks(max_deliveries="3")  # type: ignore[call-overload]
    task_with_callbacks(base=Task)  # type: ignore[arg-type]


def accepted_as_nodes(tree: TaskTree) -> None:
    assert_type(tree.apply_async()[tree.add_task(fetch)].get(), list[str])
    assert_type(tree.apply_async()[tree.add_task(fetch.s("2026-01-31"))].get(), list[str])
    assert_type(tree.apply_async()[tree.add_task(fetch_again)].get(), bytes)
    assert_type(tree.apply_async()[tree.add_task(Length)].get(), int)
    assert_type(tree.apply_async()[tree.add_task(Length())].get(), int)
    assert_type(tree.apply_async()[tree.add_task(Sum)].get(), int)
    assert_type(tree.apply_async()[tree.add_task(encode, ["one"])].get(), float)
    assert_type(tree.apply_async()[tree.add_task(encode_some, ["one"])].get(), float)
    assert_type(tree.apply_async()[tree.add_task(plain)].get(), str)
    assert_type(tree.apply_async()[tree.add_task("shop.tasks.fetch")].get(), Any)


def refused_as_nodes(tree: TaskTree) -> None:
    tree.add_task(42)  # type: ignore[arg-type]
    tree.add_task(len)  # type: ignore[arg-type]
    tree.add_task(fetch.delay)  # type: ignore[arg-type]
    tree.add_task(tree)  # type: ignore[arg-type]


@task_with_callbacks
def grows() -> None:
    node = current_node()
    assert_type(node.add_task(count, [node.output]).output, Output[int])
    assert_type(node, RunningNode)
