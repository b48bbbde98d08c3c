"""A mix-in for views with a form, which launches a tree when the form is valid."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, router
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from django_tasktree.atomicity import atomic_with_runs
from django_tasktree.exceptions import InvalidParameter, InvalidText, KeyInUse
from django_tasktree.launching import prepare
from django_tasktree.models import TreeRun
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
        run_field: the field of the form's model that takes the run: a foreign key to ``TreeRun``, or a ``UUIDField``.
            A row whose field may be null is saved before the launch, so that the tree can have its key; others after.
        success_url: where to go; ``{id}`` in it stands for the run's key. By default the run's progress page.
        tree_result: the handle of the run, once it was launched.
    """

    definition: str = ""
    run_field: str = ""
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
        return prepare(self.definition, self.get_tree_params(form)).apply_async(**options)

    def form_valid(self, form: Any) -> HttpResponse:
        """Save the form, where it is a model's, and launch: both or neither."""
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
        """Return the field of the form's model that takes the run.

        Raises:
            ImproperlyConfigured: the form has no model, or the model no such field.
        """
        if not self.run_field:
            return None
        name = f"{type(self).__name__}.run_field"
        instance = getattr(form, "instance", None)
        if instance is None:
            raise ImproperlyConfigured(f"{name} is {self.run_field!r}, but {type(form).__name__} is no ModelForm")
        try:
            return instance._meta.get_field(self.run_field)
        except FieldDoesNotExist as exc:
            label = instance._meta.label
            raise ImproperlyConfigured(f"{name} is {self.run_field!r}, but {label} has no field of that name") from exc

    def get_success_url(self) -> str:
        """Go to the run's progress page, by a signed link where nobody is logged in."""
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
