"""The pages of the demo: the form, and the album."""

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.views.generic import DetailView, FormView

from django_tasktree import TreeResult
from django_tasktree.encoding.serialization import loads
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState, RunState
from django_tasktree.views import TreeLaunchView, progress_link
from testproject.thumbnails import albums
from testproject.thumbnails.forms import AlbumForm


class NewAlbum(TreeLaunchView, FormView):  # type: ignore[type-arg]
    """Upload pictures, and launch the tree that makes thumbnails of them."""

    template_name = "thumbnails/new_album.html"
    form_class = AlbumForm
    definition = "thumbnails"

    def get_tree_params(self, form: AlbumForm) -> dict[str, Any]:
        """Store the uploaded pictures, and return the name of the album, or the number of samples."""
        uploaded = form.cleaned_data["pictures"]
        return {"album": albums.save(uploaded)} if uploaded else {"samples": form.cleaned_data["samples"]}

    def get_success_url(self) -> str:
        """Return the URL of the album, which shows the progress and the pictures."""
        return reverse("thumbnails:album", args=[self.tree_result.id])


class Pictures(DetailView):  # type: ignore[type-arg]
    """Show what there is of an album: the part of its page that a script updates while the tree runs."""

    template_name = "thumbnails/pictures.html"
    queryset = TreeRun.objects.filter(definition="thumbnails")
    context_object_name = "run"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the thumbnails that are ready, the files that are not pictures, and the contact sheet."""
        nodes = NodeRun.objects.filter(run=self.object, parent__label="pictures", is_gather=False).order_by("position")
        is_complete = self.object.state == RunState.SUCCESS
        return super().get_context_data(
            pictures=_files(nodes.filter(state=NodeState.SUCCESS)),
            broken=_files(nodes.filter(state=NodeState.FAILURE)),
            sheet=TreeResult(self.object.pk).value() if is_complete else None,
            **kwargs,
        )


class Album(Pictures):
    """Show the progress of the run, and the pictures."""

    template_name = "thumbnails/album.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the link to the progress page."""
        link = self.request.build_absolute_uri(progress_link(self.object))
        return super().get_context_data(progress_link=link, **kwargs)


def _files(nodes: QuerySet[NodeRun]) -> list[dict[str, Any]]:
    """Return the file of each node of the map, and its thumbnail if there is one."""
    rows = nodes.values_list("args", "result")
    return [{"name": loads(args)[1], "thumbnail": result and loads(result)} for args, result in rows]
