"""A mix-in for views with a form, which launches a tree when the form is valid."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, router
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from django_tasktree.atomicity import atomic_with_runs
from django_tasktree.exceptions import InvalidParameter, InvalidText
from django_tasktree.launching import prepare
from django_tasktree.parameter_errors import show_reasons
from django_tasktree.registry import get_definition
from django_tasktree.result import TreeResult
from django_tasktree.tree import TaskTree
from django_tasktree.views.shared_links import progress_link

if TYPE_CHECKING:
    from django.views.generic.edit import FormView

    _Base = FormView[Any]
else:
    _Base = object


class TreeLaunchView(_Base):
    """Put it before ``FormView``, ``CreateView`` or ``UpdateView``.

    Name a ``definition``, whose parameters are the form's fields of the same names; or override :meth:`build_tree`.

    Attributes:
        definition: the name of a registered definition.
        success_url: where to go; ``{id}`` in it stands for the run's key. By default the run's progress page.
        tree_result: the handle of the run, once it was launched.
    """

    definition: str = ""
    tree_result: TreeResult

    def build_tree(self, form: Any) -> TaskTree | None:  # noqa: ARG002  for those who override it
        """Make the tree that is launched; None: that of the ``definition``."""
        return None

    def get_tree_params(self, form: Any) -> dict[str, Any]:
        """Give the parameters of the definition: by default the form's values that have their names."""
        names = {parameter.name for parameter in get_definition(self.definition).parameters}
        return {name: value for name, value in form.cleaned_data.items() if name in names}

    def get_launch_options(self, form: Any) -> dict[str, Any]:  # noqa: ARG002  for those who override it
        """Give further arguments of ``TaskTree.apply_async``: ``key``, ``eta``, ``deadline`` and others."""
        return {}

    def launch(self, form: Any) -> TreeResult:
        """Launch the tree in the name of the user who is logged in.

        Raises:
            InvalidParameter: the definition refuses its parameters; the form shows why.
            ImproperlyConfigured: there is neither a definition nor a tree.
        """
        user = getattr(self.request, "user", None)
        options: dict[str, Any] = {"launched_by": user if user is not None and user.is_authenticated else None}
        options |= self.get_launch_options(form)
        tree = self.build_tree(form)
        if tree is not None:
            return tree.apply_async(**options)
        if not self.definition:
            name = type(self).__name__
            raise ImproperlyConfigured(f"{name} launches nothing: set {name}.definition, or override build_tree()")
        return prepare(self.definition, self.get_tree_params(form)).launch(**options)

    def form_valid(self, form: Any) -> HttpResponse:
        """Save the form, where it is a model's, and launch: both or neither."""
        try:
            with atomic_with_runs(_database_of(form)):
                if hasattr(form, "save"):
                    self.object = form.save()
                self.tree_result = self.launch(form)
        except (InvalidParameter, InvalidText) as error:
            if isinstance(error, InvalidText) or not show_reasons(form, error):
                form.add_error(None, str(error))
            return self.form_invalid(form)
        return HttpResponseRedirect(self.get_success_url())

    def get_success_url(self) -> str:
        """Go to the run's progress page, by a signed link where nobody is logged in."""
        if self.success_url:
            return str(self.success_url).format(id=self.tree_result.id)
        if self.request.user.is_authenticated:
            return reverse("tasktree:progress", args=[self.tree_result.id])
        return progress_link(self.tree_result)


def _database_of(form: Any) -> str:
    """Return the alias of the database that a form saves to."""
    instance = getattr(form, "instance", None)
    return DEFAULT_DB_ALIAS if instance is None else router.db_for_write(type(instance), instance=instance)
