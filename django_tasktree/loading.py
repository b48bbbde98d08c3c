"""Find the modules that rows and messages name, without letting them choose what code is loaded."""

import sys
from importlib import import_module
from typing import Any

from django.apps import apps


def find_module(name: str) -> Any:
    """Return a module that has been imported, or that belongs to an installed app; None for any other.

    Args:
        name: the dotted name.
    """
    return sys.modules.get(name) or _import_from_app(name)


def _import_from_app(name: str) -> Any:
    if not any(name == app.name or name.startswith(f"{app.name}.") for app in apps.get_app_configs()):
        return None
    try:
        return import_module(name)
    except ImportError:
        return None
