"""The two pages of the demo: the form, and the album."""

from typing import Any

from django.urls import reverse
from django.views.generic import DetailView, FormView

from django_tasktree import NodeResult
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NodeState
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
        """Return the URL of the album, which shows progress until the pictures are ready."""
        return reverse("thumbnails:album", args=[self.tree_result.id])


class Album(DetailView):  # type: ignore[type-arg]
    """Show the progress of the run, and then the pictures."""

    template_name = "thumbnails/album.html"
    queryset = TreeRun.objects.filter(definition="thumbnails")
    context_object_name = "run"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the result of the contact sheet's node, if it succeeded, and the link to the progress page."""
        sheet = NodeRun.objects.under(self.object.pk, None).filter(is_gather=True, state=NodeState.SUCCESS).first()
        link = self.request.build_absolute_uri(progress_link(self.object))
        return super().get_context_data(album=sheet and NodeResult(sheet.id).get(), progress_link=link, **kwargs)
