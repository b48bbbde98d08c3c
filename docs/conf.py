"""Sphinx configuration; ``make docs`` builds into ``docs/_build/html``."""

import os
import sys
from pathlib import Path

import django

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")
django.setup()

import django_tasktree  # noqa: E402  its settings must be known first

project = "django-tasktree"
author = "The django-tasktree developers"
project_copyright = author
release = django_tasktree.__version__
version = ".".join(release.split(".")[:2])

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs.diagrams.extension"]
exclude_patterns = ["_build"]
default_role = "any"
highlight_language = "python"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "alabaster"
html_theme_options = {
    "description": "Trees of Celery tasks that live in your Django database",
    "fixed_sidebar": True,
    "page_width": "1080px",
    "sidebar_width": "230px",
    "show_relbars": True,
}
html_static_path = ["_static"]
html_show_sourcelink = False
html_copy_source = False
