"""Lists, tuples and dicts that contain themselves: the search ends, and the error says why."""

from pathlib import Path

import pytest

from django_tasktree import TaskTree
from django_tasktree.encoding import serialization
from django_tasktree.encoding.nested import find_all, paths
from django_tasktree.exceptions import SerializationError
from tests.sample.tasks import add, echo

pytestmark = pytest.mark.timeout(20)


def list_in_itself(*others):
    cyclic = [*others]
    cyclic.append(cyclic)
    return cyclic


def dict_in_itself(*others):
    cyclic: dict[object, object] = dict(enumerate(others))
    cyclic["self"] = cyclic
    return cyclic


cyclic_values = pytest.mark.parametrize("cyclic", [list_in_itself, dict_in_itself])


@cyclic_values
def test_the_search_ends(cyclic):
    assert list(find_all(cyclic(1, "text"), int)) == [1]
    assert [path for path, _ in paths(cyclic(1))][:1] == [(0,)]


@cyclic_values
@pytest.mark.parametrize("others", [(), (Path("a"),)], ids=["plain", "with a stand-in"])
def test_it_can_not_be_stored(cyclic, others):
    with pytest.raises(SerializationError, match=r"Circular reference|contains itself"):
        serialization.write(cyclic(*others), "max_result_size")


@cyclic_values
def test_a_launch_names_the_argument(cyclic):
    tree = TaskTree()
    tree.add_task(echo, kwargs={"value": cyclic()})
    with pytest.raises(SerializationError, match="'value'"):
        tree.apply_async()


def test_a_launch_with_an_output_beside_it():
    tree = TaskTree()
    first = tree.add_task(echo)
    first.add_task(add, [first.output, list_in_itself(first.output)])
    with pytest.raises(SerializationError, match="contains itself"):
        tree.apply_async()


def test_the_same_list_twice_is_no_cycle():
    shared = [1]
    assert serialization.read(serialization.write([shared, shared], "max_result_size")) == [[1], [1]]
    assert [path for path, _ in paths([shared, shared])] == [(0, 0), (1, 0)]
