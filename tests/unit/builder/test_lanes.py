"""Which nodes share messages."""

import pytest

from django_tasktree.builder.lanes import lane_of
from tests import celery_settings
from tests.sample.tasks import echo

pytestmark = pytest.mark.usefixtures("sharing")


@pytest.mark.parametrize(
    ("options", "lane"),
    [
        ({"queue": "a"}, "a"),
        ({"queue": "a", "priority": 5}, "a|5"),
        ({"queue": "a", "time_limit": 4}, "a|limits 4 None"),
        ({"queue": "a", "priority": 5, "time_limit": 60, "soft_time_limit": 50}, "a|5|limits 60 50"),
        # The time of a message would be a large part of these.
        ({"queue": "a", "time_limit": 3.9}, ""),
        ({"queue": "a", "time_limit": 60, "soft_time_limit": 3.9}, ""),
        # Not the lane of the nodes above.
        ({"queue": "a|5"}, ""),
        ({"queue": "a" * 101}, ""),
        ({"queue": "a", "countdown": 1}, ""),
        ({"queue": "a", "share_message": False}, ""),
    ],
)
def test_a_lane_names_one_queue_and_priority(app, options, lane):
    assert lane_of(echo.name, options, is_limited=False) == lane


@pytest.mark.parametrize("name", ["task_time_limit", "task_soft_time_limit"])
def test_short_limits_of_the_project_count(app, name):
    for limit, lane in ((3, ""), (300, "a")):
        with celery_settings.changed(app, **{name: limit}):
            assert lane_of(echo.name, {"queue": "a"}, is_limited=False) == lane
