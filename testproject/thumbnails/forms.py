"""The form of the demo."""

from typing import Any

from django import forms


class ManyFiles(forms.ClearableFileInput):
    """A box that takes several files."""

    allow_multiple_selected = True


class PicturesField(forms.ImageField):
    """Several pictures at once; each is checked."""

    widget = ManyFiles

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        """Check each file."""
        files = data if isinstance(data, (list, tuple)) else [data]
        return [super(PicturesField, self).clean(file, initial) for file in files if file]


class AlbumForm(forms.Form):
    """Pictures to upload, or none for samples."""

    pictures = PicturesField(
        required=False, widget=ManyFiles(attrs={"accept": "image/*", "multiple": True}), label="Your pictures"
    )
    samples = forms.IntegerField(
        min_value=1, max_value=100, initial=6, label="Or so many samples", help_text="Where you choose no picture."
    )
