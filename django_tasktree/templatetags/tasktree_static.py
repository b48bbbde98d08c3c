"""``{% load tasktree_static %}``: the scripts and style sheets of this app's templates."""

from django import template
from django.forms.widgets import Media

from django_tasktree.reporting.static_files import STYLES, script

register = template.Library()


@register.simple_tag
def tasktree_script(page: str) -> str:
    """Return the HTML that loads the script of a page."""
    return str(script(page))


@register.simple_tag
def tasktree_styles() -> str:
    """Return the HTML that loads the style sheets of the admin."""
    return str(Media(css={"all": STYLES}))
