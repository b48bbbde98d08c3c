"""One page of the list of runs."""

from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest

from django_tasktree.progress import progress_of_all


class RunList(ChangeList):
    """Counts the nodes of all runs of the page in one query."""

    def get_results(self, request: HttpRequest) -> None:
        """Load the page, and the progress of each of its runs."""
        super().get_results(request)
        runs: list[Any] = list(self.result_list)
        progress = progress_of_all(runs)
        for run in runs:
            run.listed_progress = progress[run.id]
        # The templates only iterate over it.
        self.result_list = runs
