"""Find the modules that rows and messages name, without importing arbitrary code."""

import sys
from importlib import import_module
from typing import Any

from django.apps import apps


def find_module(name: str) -> Any:
    """Return a module that has been imported already or belongs to an installed app.

    Args:
        name: the dotted name.

    Returns:
        None for any other module, and if a module of an installed app can't be imported.
    """
    return sys.modules.get(name) or _import_from_app(name)


def find_in_app(path: str) -> Any:
    """Return what the dotted path of a class or function names, in a module that :func:`find_module` finds, or None."""
    module, _, name = path.rpartition(".")
    return getattr(find_module(module), name, None)


def _import_from_app(name: str) -> Any:
    if not any(name == app.name or name.startswith(f"{app.name}.") for app in apps.get_app_configs()):
        return None
    try:
        return import_module(name)
    except ImportError:
        return None
