"""Views for your own site: JSON about runs, actions, progress pages, and a mix-in for forms that launch trees.

Add their URLs with ``path("tasktree/", include("django_tasktree.urls"))``.
"""

from django_tasktree.views.launching import TreeLaunchView
from django_tasktree.views.shared_links import progress_link

__all__ = ["TreeLaunchView", "progress_link"]
