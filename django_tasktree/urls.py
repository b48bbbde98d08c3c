"""The URLs of the views: ``path("tasktree/", include("django_tasktree.urls"))``."""

from django.urls import path

from django_tasktree.views.children import children
from django_tasktree.views.completion_pages import complete_by_link
from django_tasktree.views.control import control_node, control_node_of_run, control_run
from django_tasktree.views.events import send_event
from django_tasktree.views.progress_pages import progress_page, shared_progress_page
from django_tasktree.views.status import run_status, shared_status

app_name = "tasktree"

urlpatterns = [
    path("runs/<uuid:run_id>/", run_status, name="status"),
    path("runs/<uuid:run_id>/children/", children, name="children"),
    path("runs/<uuid:run_id>/progress/", progress_page, name="progress"),
    path("runs/<uuid:run_id>/control/<slug:action>/", control_run, name="control_run"),
    path(
        "runs/<uuid:run_id>/nodes/<path:node>/control/<slug:action>/", control_node_of_run, name="control_node_of_run"
    ),
    path("runs/<uuid:run_id>/events/<str:name>/", send_event, name="send_event"),
    path("nodes/<uuid:node_id>/control/<slug:action>/", control_node, name="control_node"),
    path("complete/<str:token>/", complete_by_link, name="complete_by_link"),
    path("shared/<str:token>/", shared_progress_page, name="shared_progress"),
    path("shared/<str:token>/status/", shared_status, name="shared_status"),
]
