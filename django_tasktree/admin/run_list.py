"""One page of the list of runs."""

from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.db import connections
from django.db.models import prefetch_related_objects
from django.http import HttpRequest

from django_tasktree.admin.local_dates import knows_local_dates
from django_tasktree.progress import progress_of_all
from django_tasktree.recent import recent


class RunList(ChangeList):
    """Counts the nodes of all runs of the page in one query; offers dates only where the database knows them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not knows_local_dates(connections[self.queryset.db]):
            self.date_hierarchy = None

    def get_results(self, request: HttpRequest) -> None:
        """Load the page, with the progress of each of its runs and who launched it."""
        super().get_results(request)
        runs: list[Any] = list(self.result_list)
        prefetch_related_objects(runs, "launched_by")
        shown = tuple((run.id, run.state) for run in runs)
        progress = recent(("list", shown), lambda: progress_of_all(runs))
        for run in runs:
            run.listed_progress = progress[run.id]
        # The templates only iterate over it.
        self.result_list = runs
