"""``registered`` registers definitions for a block or a function of a test."""

import asyncio
from functools import partial

import pytest
from django.test import TestCase

from django_tasktree import TaskTree, register_tree
from django_tasktree.definitions.definition import Definition
from django_tasktree.definitions.registry import all_definitions, get_definition
from django_tasktree.exceptions import InvalidDefinition, UnknownDefinition
from django_tasktree.testing import registered
from tests.sample.tasks import CustomError, echo


def hello(word: str = "hello"):
    """Say hello."""
    tree = TaskTree()
    tree.add_task(echo, [word])
    return tree


def names():
    return [definition.name for definition in all_definitions()]


def test_definitions_are_registered_inside_the_block():
    before = names()
    assert before, "the project has definitions of its own"
    with registered(hello, Definition("other", hello, "By another name.")) as (one, other):
        assert names() == sorted([*before, "hello", "other"])
        assert (get_definition("hello"), get_definition("other")) == (one, other)
        assert (one.description, other.description) == ("Say hello.", "By another name.")
        register_tree("within")(hello)
    assert names() == before


def test_only_the_given_definitions_are_registered():
    before = names()
    with registered(hello, only=True), pytest.raises(UnknownDefinition, match="did you mean 'hello'"):
        get_definition("helo")
    with registered(only=True):
        assert names() == []
    assert names() == before


def test_a_definition_replaces_that_of_the_project():
    project = all_definitions()[0]
    with registered(Definition(project.name, hello)) as (own,):
        assert get_definition(project.name) is own
        assert len(names()) == len({*names()})
    assert get_definition(project.name) is project


def test_two_definitions_with_one_name_are_refused():
    before = names()
    with pytest.raises(InvalidDefinition, match="two functions define 'hello'"), registered(hello, Hello.hello):
        pass
    assert names() == before


class Hello:
    @staticmethod
    def hello():
        return TaskTree()


def test_definitions_are_unregistered_after_an_error():
    before = names()
    with pytest.raises(CustomError), registered(hello):
        raise CustomError
    assert names() == before


@pytest.mark.django_db
@registered(hello)
def test_a_decorated_function_is_accepted(run_tree):
    assert run_tree("hello", {"word": "again"}).join() == ["again"]


def one_word(word: str = "a"):
    tree = TaskTree()
    tree.add_task(echo, [word])
    return tree


class TestRegistered:
    def test_a_coroutine_function_is_decorated(self):
        @registered(one_word)
        async def names():
            await asyncio.sleep(0)
            return get_definition("one-word").name

        assert asyncio.run(names()) == "one-word"
        assert names.__name__ == "names"
        with pytest.raises(UnknownDefinition):
            get_definition("one-word")

    def test_what_no_block_can_surround_is_refused(self):
        def generator():
            yield

        async def async_generator():
            yield

        for given in (TestCase, generator, async_generator):
            with pytest.raises(TypeError, match=r"registered\(\) can't decorate .*: decorate its test functions"):
                registered(one_word)(given)

    def test_it_can_be_used_again_and_within_itself(self):
        block = registered(one_word)
        for _ in range(2):
            with block, block:
                assert get_definition("one-word")
            with pytest.raises(UnknownDefinition):
                get_definition("one-word")

    def test_overlapping_blocks_remove_only_their_own(self):
        before = all_definitions()
        first, second = registered(Definition("first", one_word)), registered(Definition("second", one_word))
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert get_definition("second")
        with pytest.raises(UnknownDefinition):
            get_definition("first")
        second.__exit__(None, None, None)
        assert all_definitions() == before

    @pytest.mark.parametrize(
        "given",
        [None, 5, "daily-orders", partial(one_word), TaskTree(), [one_word]],
        ids=["nothing", "number", "text", "partial", "tree", "list"],
    )
    def test_what_is_no_function_can_not_define_a_tree(self, given):
        before = all_definitions()
        with pytest.raises(InvalidDefinition, match=r"can't define a tree: it must be a function"), registered(given):
            pass
        with pytest.raises(InvalidDefinition, match=r"can't define a tree: it must be a function"):
            register_tree("name")(given)
        assert all_definitions() == before
