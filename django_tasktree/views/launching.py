"""A mix-in for form views that launches a tree when the form is valid."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, router
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from django_tasktree.client.tree import TaskTree
from django_tasktree.client.tree_result import TreeResult
from django_tasktree.definitions.form_errors import show_reasons
from django_tasktree.definitions.launch import prepare
from django_tasktree.definitions.registry import get_definition
from django_tasktree.dispatch.launch import atomic_with_runs
from django_tasktree.exceptions import InvalidParameter, InvalidText, KeyInUse
from django_tasktree.models import TreeRun
from django_tasktree.views.shared_links import progress_link

if TYPE_CHECKING:
    from django.views.generic.edit import FormView

    _Base = FormView[Any]
else:
    _Base = object


class TreeLaunchView(_Base):
    """Mix-in that launches a tree with a form; list it before ``FormView``, ``CreateView`` or ``UpdateView``.

    Set ``definition``: its parameters get the values of the form fields with the same names. Or override
    :meth:`build_tree`. Example::

        class NewReport(TreeLaunchView, FormView):
            form_class = ReportForm
            template_name = "new_report.html"
            definition = "daily-report"

    Attributes:
        definition: the name of a registered definition.
        run_field: the field of the form's model for the run: a foreign key to ``TreeRun`` or a ``UUIDField``.
            If the field may be null, the row is saved before the launch, so that the tree can use its primary key;
            otherwise after the launch.
        success_url: the URL to redirect to; ``{id}`` in it is replaced by the run's ID. By default the run's progress
            page.
        tree_result: the handle of the run, after the launch.
    """

    definition: str = ""
    run_field: str = ""
    tree_result: TreeResult

    def build_tree(self, form: Any) -> TaskTree | None:  # noqa: ARG002  for those who override it
        """Return the tree to launch; None launches the tree of :attr:`definition`."""
        return None

    def get_tree_params(self, form: Any) -> dict[str, Any]:
        """Return the parameters of the definition; by default the values of the form fields with the same names."""
        names = {parameter.name for parameter in get_definition(self.definition).parameters}
        return {name: value for name, value in form.cleaned_data.items() if name in names}

    def get_launch_options(self, form: Any) -> dict[str, Any]:  # noqa: ARG002  for those who override it
        """Return further arguments for ``TaskTree.apply_async``, such as ``key``, ``eta`` or ``deadline``."""
        return {}

    def launch(self, form: Any) -> TreeResult:
        """Launch the tree on behalf of the logged-in user, and return the handle of the run.

        Raises:
            InvalidParameter: the definition refuses a parameter; :meth:`form_valid` shows the reason in the form.
            ImproperlyConfigured: neither :attr:`definition` is set nor :meth:`build_tree` overridden.
        """
        user = getattr(self.request, "user", None)
        options: dict[str, Any] = {"launched_by": user if user is not None and user.is_authenticated else None}
        options |= self.get_launch_options(form)
        tree = self.build_tree(form)
        if tree is not None:
            return tree.apply_async(**options)
        if not self.definition:
            name = type(self).__name__
            raise ImproperlyConfigured(f"{name} has no tree to launch: set {name}.definition, or override build_tree()")
        return prepare(self.definition, self.get_tree_params(form)).apply_async(**options)

    def form_valid(self, form: Any) -> HttpResponse:
        """Save the form, if it is a ModelForm, and launch the tree; an error undoes both."""
        try:
            with atomic_with_runs(_database_of(form)):
                self._save_and_launch(form)
        except (InvalidParameter, InvalidText, KeyInUse) as error:
            if not isinstance(error, InvalidParameter) or not show_reasons(form, error):
                form.add_error(None, str(error))
            return self.form_invalid(form)
        return HttpResponseRedirect(self.get_success_url())

    def _save_and_launch(self, form: Any) -> None:
        field = self._run_field(form)
        if field is not None and not field.null:
            self.tree_result = self.launch(form)
            _refer(form.instance, field, self.tree_result)
            self.object = form.save()
            return
        if hasattr(form, "save"):
            self.object = form.save()
        self.tree_result = self.launch(form)
        if field is not None:
            _refer(self.object, field, self.tree_result)
            self.object.save(update_fields=[field.name])

    def _run_field(self, form: Any) -> Any:
        """Return the field of the form's model that refers to the run.

        Raises:
            ImproperlyConfigured: the form is not a ModelForm, or the model has no such field.
        """
        if not self.run_field:
            return None
        name = f"{type(self).__name__}.run_field"
        instance = getattr(form, "instance", None)
        if instance is None:
            raise ImproperlyConfigured(f"{name} is {self.run_field!r}, but {type(form).__name__} is not a ModelForm")
        try:
            return instance._meta.get_field(self.run_field)
        except FieldDoesNotExist as exc:
            label = instance._meta.label
            raise ImproperlyConfigured(f"{name} is {self.run_field!r}, but {label} has no field of that name") from exc

    def get_success_url(self) -> str:
        """Return :attr:`success_url`, or the run's progress page; for anonymous users, a signed link to it."""
        if self.success_url:
            return str(self.success_url).format(id=self.tree_result.id)
        if self.request.user.is_authenticated:
            return reverse("tasktree:progress", args=[self.tree_result.id])
        return progress_link(self.tree_result)


def _refer(row: Any, field: Any, result: TreeResult) -> None:
    setattr(row, field.name, TreeRun.objects.get(pk=result.id) if field.is_relation else result.id)


def _database_of(form: Any) -> str:
    """Return the alias of the database that a form saves to."""
    instance = getattr(form, "instance", None)
    return DEFAULT_DB_ALIAS if instance is None else router.db_for_write(type(instance), instance=instance)
