"""The form of the demo."""

from typing import Any

from django import forms
from django.core.validators import validate_image_file_extension


class ManyFiles(forms.ClearableFileInput):
    """A file input for several files."""

    allow_multiple_selected = True


class PicturesField(forms.FileField):
    """A field for several pictures. Only their names are checked: the tasks of the tree open them."""

    widget = ManyFiles
    default_validators = [validate_image_file_extension]

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        """Return the files, each with the name of a picture."""
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
