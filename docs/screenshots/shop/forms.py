"""The form with which somebody approves a report."""

from django import forms


class ApprovalForm(forms.Form):
    """Who approves, and why."""

    by = forms.CharField(max_length=50, label="Approved by")
    note = forms.CharField(max_length=200, required=False, widget=forms.Textarea(attrs={"rows": 2}))
