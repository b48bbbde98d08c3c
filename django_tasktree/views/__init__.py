"""Views for users' own sites: ``path("tasktree/", include("django_tasktree.urls"))``.

JSON about a run and its nodes, control, a progress page, and a mix-in for forms that launch trees.
"""

from django_tasktree.views.launching import TreeLaunchView
from django_tasktree.views.shared_links import progress_link

__all__ = ["TreeLaunchView", "progress_link"]
