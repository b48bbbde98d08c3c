"""The form of the demo."""

from typing import Any

from django import forms


class ManyFiles(forms.ClearableFileInput):
    """A file input for several files."""

    allow_multiple_selected = True


class PicturesField(forms.ImageField):
    """A field for several pictures; each is validated."""

    widget = ManyFiles

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        """Return the files, each validated as a picture."""
        files = data if isinstance(data, (list, tuple)) else [data]
        return [super(PicturesField, self).clean(file, initial) for file in files if file]


class AlbumForm(forms.Form):
    """The form for a new album: pictures to upload, or a number of samples."""

    pictures = PicturesField(
        required=False, widget=ManyFiles(attrs={"accept": "image/*", "multiple": True}), label="Your pictures"
    )
    samples = forms.IntegerField(
        min_value=1, max_value=100, initial=6, label="Number of samples", help_text="Used if you choose no pictures."
    )
