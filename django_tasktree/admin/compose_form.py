"""The form in which a draft is composed: one for the run, and one for each node."""

import json
from typing import Any

from django import forms
from django.contrib.admin import widgets
from django.utils.translation import gettext_lazy as _
from kombu.utils import json as kombu_json

from django_tasktree.citizens import MOST_ACTIVE
from django_tasktree.drafting import MOST_NODES, InvalidDraft, NodeRow, build
from django_tasktree.models import TreeRun
from django_tasktree.states import OnFailure, RunWhen
from django_tasktree.text import readable_json
from django_tasktree.tree import TaskTree

#: What Celery's decoders raise for values that do not fit their types, and JSON that is nested too deep.
_UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)


class JsonText(forms.CharField):
    """JSON with Celery's extra types, of one kind.

    Args:
        kind: list or dict.
        example: stands in the box while it is empty.
        **options: those of any field.
    """

    def __init__(self, kind: type, example: str, **options: Any) -> None:
        attrs = {"rows": 2, "class": "tasktree-json", "spellcheck": "false", "placeholder": example}
        super().__init__(required=False, widget=forms.Textarea(attrs=attrs), **options)
        self.kind = kind

    def clean(self, value: Any) -> Any:
        """Read it.

        Raises:
            ValidationError: it is no JSON, or of another kind.
        """
        text = super().clean(value)
        if not text:
            return self.kind()
        try:
            found = kombu_json.loads(text)
        except _UNREADABLE as error:
            raise forms.ValidationError(_("This is no JSON: %(reason)s") % {"reason": error}) from error
        if not isinstance(found, self.kind):
            wanted = _("a JSON array: […]") if self.kind is list else _("a JSON object: {…}")
            raise forms.ValidationError(_("This must be %(wanted)s") % {"wanted": wanted})
        return found

    def prepare_value(self, value: Any) -> Any:
        """Write what was read; what somebody typed stays."""
        if value is None or isinstance(value, str):
            return value
        # Through the encoder of the rows, then in the manner of people.
        return readable_json(json.loads(kombu_json.dumps(value))) if value else ""


class RunForm(forms.Form):
    """What the run is called, and its rules."""

    name = forms.CharField(
        label=_("Name"),
        max_length=TreeRun._meta.get_field("name").max_length,
        required=False,
        widget=widgets.AdminTextInputWidget,
    )
    on_failure = forms.ChoiceField(label=_("On failure"), choices=OnFailure.choices, required=False)
    max_active = forms.IntegerField(
        label=_("At most active"),
        min_value=1,
        max_value=MOST_ACTIVE,
        required=False,
        widget=widgets.AdminIntegerFieldWidget,
        help_text=_("How many of its nodes may be queued or running."),
    )

    def tree(self) -> TaskTree:
        """Make a tree without nodes."""
        values = self.cleaned_data
        return TaskTree(
            values["name"], on_failure=values["on_failure"] or OnFailure.CONTINUE, max_active=values["max_active"]
        )


class NodeForm(forms.Form):
    """A node."""

    name = forms.SlugField(label=_("Name"))
    task = forms.CharField(
        label=_("Task"), widget=forms.TextInput(attrs={"list": "tasktree-tasks", "autocomplete": "off"})
    )
    parent = forms.CharField(
        label=_("Below"),
        required=False,
        widget=forms.TextInput(
            attrs={"list": "tasktree-names", "autocomplete": "off", "placeholder": _("nothing: a root node")}
        ),
    )
    run_when = forms.ChoiceField(label=_("Run when"), choices=RunWhen.choices, initial=RunWhen.SUCCESS, required=False)
    is_gather = forms.BooleanField(label=_("Gather: waits for all else below the same node"), required=False)
    args = JsonText(list, "[…]", label=_("Arguments"))
    kwargs = JsonText(dict, "{…}", label=_("Keyword arguments"))
    options = JsonText(dict, '{"queue": "…"}', label=_("Options"))
    allow_failure = forms.BooleanField(label=_("May fail without failing the run"), required=False)

    def row(self) -> NodeRow:
        """Give what was written."""
        names = ("name", "task", "args", "kwargs", "parent", "is_gather", "allow_failure", "options")
        values = {name: self.cleaned_data[name] for name in names}
        return NodeRow(**values, run_when=self.cleaned_data["run_when"] or RunWhen.SUCCESS)


class NodeFormSet(forms.BaseFormSet):  # type: ignore[type-arg]
    """The nodes; together they make a tree."""

    def rows(self) -> list[tuple[int, NodeRow]]:
        """Give what was written, with the position of its form."""
        return [
            (position, form.row())
            for position, form in enumerate(self.forms)
            if form.has_changed() and form not in self.deleted_forms
        ]

    def fill(self, tree: TaskTree) -> bool:
        """Add the nodes to a tree; where they make none, the forms say why."""
        found = self.rows()
        try:
            build(tree, [row for _position, row in found])
        except InvalidDraft as error:
            for index, reasons in error.errors.items():
                form = self.forms[found[index][0]]
                for name, reason in reasons.items():
                    form.add_error(name or None, reason)
            return False
        return True


def node_formset(extra: int) -> type[NodeFormSet]:
    """Make the class of the forms of all nodes, with so many empty ones at the end."""
    made: Any = forms.formset_factory(
        NodeForm,
        formset=NodeFormSet,
        extra=extra,
        can_delete=True,
        max_num=MOST_NODES,
        absolute_max=MOST_NODES + 50,
        validate_max=True,
    )
    found: type[NodeFormSet] = made
    return found


def summary(task: Any) -> str:
    """Give the first line of a task's docstring."""
    return (task.__doc__ or "").strip().partition("\n")[0]
