"""The forms of a draft: one for the run, and one for each node."""

import json
from typing import Any

from django import forms
from django.contrib.admin import widgets
from django.utils.translation import gettext_lazy as _
from kombu.utils import json as kombu_json

from django_tasktree.builder.calls import MAX_STORABLE
from django_tasktree.client.tree import TaskTree
from django_tasktree.control.json_field import JsonField
from django_tasktree.drafts import MAX_NODES, InvalidDraft, NodeRow, build
from django_tasktree.encoding.labels import LABEL_LENGTH
from django_tasktree.encoding.strict_json import read_json
from django_tasktree.encoding.text import readable_json
from django_tasktree.models import TreeRun
from django_tasktree.states import OnFailure, RunWhen


class JsonText(JsonField):
    """A JSON array or object, with the extra types of Celery's JSON serializer.

    Args:
        kind: list or dict; None: any value, or none.
        example: the placeholder of the empty box.
        **options: options of the field.
    """

    #: Exceptions that Celery's decoders raise for invalid values of their types.
    unreadable = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)

    def __init__(self, kind: type | None, example: str, **options: Any) -> None:
        attrs = {"rows": 2, "class": "tasktree-json", "spellcheck": "false", "placeholder": example}
        super().__init__(required=False, widget=forms.Textarea(attrs=attrs), **options)
        self.kind = kind

    def clean(self, value: Any) -> Any:
        """Return the value; for an empty text an empty list or dict.

        If any value is accepted, return a tuple with the value, which is empty for an empty text.

        Raises:
            ValidationError: the text is not valid JSON, or of another kind.
        """
        found = super().clean(value)
        is_empty = found is None and value in self.empty_values
        if self.kind is None:
            return () if is_empty else (found,)
        if is_empty:
            return self.kind()
        if not isinstance(found, self.kind):
            wanted = _("a JSON array: […]") if self.kind is list else _("a JSON object: {…}")
            raise forms.ValidationError(_("This must be %(wanted)s") % {"wanted": wanted})
        return found

    def read(self, text: str) -> Any:
        """Return the value of a text, which may contain Celery's extra types."""
        return kombu_json.loads(text, _loads=read_json)

    def prepare_value(self, value: Any) -> Any:
        """Return the text of a value; text that the user typed stays as it is."""
        if value is None or isinstance(value, str):
            return value
        return json_text(value) if value else ""


def json_text(value: Any) -> str:
    """Return a value as the text of a :class:`JsonText`."""
    # Encode the extra types as Celery does, then format the JSON for people.
    return readable_json(json.loads(kombu_json.dumps(value)))


class RunForm(forms.Form):
    """The name and the rules of the run."""

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
        max_value=MAX_STORABLE,
        required=False,
        widget=widgets.AdminIntegerFieldWidget,
        help_text=_("How many of its nodes may be queued or running."),
    )
    returns = JsonText(
        None, '{"$output": "…"}', label=_("Result"), help_text=_("The result of the run: JSON with results of nodes.")
    )

    def tree(self) -> TaskTree:
        """Return a tree with these options, without nodes."""
        values = self.cleaned_data
        return TaskTree(
            values["name"], on_failure=values["on_failure"] or OnFailure.CONTINUE, max_active=values["max_active"]
        )


class NodeForm(forms.Form):
    """The form of one node."""

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
    label = forms.CharField(
        label=_("Label"),
        required=False,
        strip=False,
        max_length=LABEL_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": _("optional, for paths")}),
    )
    run_when = forms.ChoiceField(label=_("Run when"), choices=RunWhen.choices, initial=RunWhen.SUCCESS, required=False)
    is_gather = forms.BooleanField(label=_("Gather: waits for all else below the same node"), required=False)
    args = JsonText(list, "[…]", label=_("Arguments"))
    kwargs = JsonText(dict, "{…}", label=_("Keyword arguments"))
    options = JsonText(dict, '{"queue": "…"}', label=_("Options"))
    allow_failure = forms.BooleanField(label=_("May fail without failing the run"), required=False)

    def row(self) -> NodeRow:
        """Return the values as a row; the form must be valid."""
        names = ("name", "task", "args", "kwargs", "parent", "is_gather", "allow_failure", "options", "label")
        values = {name: self.cleaned_data[name] for name in names}
        return NodeRow(**values, run_when=self.cleaned_data["run_when"] or RunWhen.SUCCESS)


class NodeFormSet(forms.BaseFormSet):  # type: ignore[type-arg]
    """The forms of all nodes of a tree."""

    def rows(self) -> list[tuple[int, NodeRow]]:
        """Return the position and the row of each form that is filled in and not deleted."""
        return [
            (position, form.row())
            for position, form in enumerate(self.forms)
            if form.has_changed() and form not in self.deleted_forms
        ]

    def fill(self, tree: TaskTree, form: RunForm) -> bool:
        """Add the nodes and the result to a tree; return whether they are valid; if not, the forms have the errors.

        Args:
            tree: the tree.
            form: the form of the run.
        """
        found = self.rows()
        try:
            build(tree, [row for _position, row in found], form.cleaned_data["returns"])
        except InvalidDraft as error:
            if error.result_error:
                form.add_error("returns", error.result_error)
            for index, reasons in error.errors.items():
                form = self.forms[found[index][0]]
                for name, reason in reasons.items():
                    form.add_error(name or None, reason)
            return False
        return True


def node_formset(extra: int) -> type[NodeFormSet]:
    """Return the class of the forms of all nodes, with a number of empty forms at the end."""
    made: Any = forms.formset_factory(
        NodeForm,
        formset=NodeFormSet,
        extra=extra,
        can_delete=True,
        max_num=MAX_NODES,
        absolute_max=MAX_NODES + 50,
        validate_max=True,
    )
    found: type[NodeFormSet] = made
    return found


def summary(task: Any) -> str:
    """Return the first line of a task's docstring."""
    return (task.__doc__ or "").strip().partition("\n")[0]
