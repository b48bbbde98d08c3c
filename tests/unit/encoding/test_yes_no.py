"""The words for yes and no."""

import pytest

from django_tasktree.definitions.parameters.scalars import SCALARS
from django_tasktree.encoding.yes_no import is_yes
from django_tasktree.views.control import _is_yes as is_yes_in_a_view

YES, NO = ["1", "true", "yes", "on", True, 1, " On "], ["0", "false", "no", "off", False, 0, "NO"]


@pytest.mark.parametrize("read", [is_yes, SCALARS["bool"].read, lambda value: is_yes_in_a_view("full", value)])
def test_parameters_and_options_of_actions_have_the_same_words(read):
    assert [read(value) for value in YES] == [True] * len(YES)
    assert [read(value) for value in NO] == [False] * len(NO)
    for value in ("maybe", "y", "2", 2):
        with pytest.raises(ValueError, match=str(value)):
            read(value)


def test_an_option_without_a_value_is_no():
    assert [is_yes_in_a_view("full", value) for value in (None, "", " ")] == [False] * 3
