"""Long tests run first, spread over all processes."""

from hypothesis import given
from hypothesis import strategies as st

from tests.scheduling import long_tests_first


class Item:
    def __init__(self, name, is_long):
        self.name, self.is_long = name, is_long

    def get_closest_marker(self, name):
        return self.is_long and name == "long"


def shares(items, processes):
    """Return the equal shares that pytest-xdist assigns to the processes."""
    found, rest = [], list(items)
    for process in range(processes):
        number = len(rest) // (processes - process)
        found.append(rest[:number])
        del rest[:number]
    return found


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 6))
def test_each_share_begins_with_its_long_tests(kinds, processes):
    items = [Item(number, is_long) for number, is_long in enumerate(kinds)]
    ordered = long_tests_first(items, processes)
    assert sorted(item.name for item in ordered) == [item.name for item in items]
    counts = [sum(item.is_long for item in share) for share in shares(ordered, processes)]
    if sum(counts) * 2 <= len(items):
        assert max(counts) - min(counts) <= 1
    for share in shares(ordered, processes):
        kinds = [item.is_long for item in share]
        assert kinds == sorted(kinds, reverse=True)
