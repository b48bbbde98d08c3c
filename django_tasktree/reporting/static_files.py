"""Where the scripts and the style sheets of the pages are."""

from django.forms.widgets import Script

from django_tasktree import __version__

#: Scripts are ES modules, which import each other by relative addresses. A storage that puts hashes into names rewrites
#: these only where a project asks for it (``support_js_module_import_aggregation``). So the version names the folder:
#: after an upgrade no browser has an imported module of the version before in its cache. Nothing imports the modules in
#: ``pages``: one with two addresses, with a hash and without, would run twice.
SCRIPTS = f"django_tasktree/js/{__version__}"

#: The style sheets of the admin, in the order in which their rules apply. Each is in the page by its own name.
STYLES = [
    f"django_tasktree/css/{name}.css"
    for name in (
        "colors",
        "states",
        "lists",
        "themes",
        "live",
        "cards",
        "tables",
        "launch",
        "control",
        "tree",
        "graph",
        "timeline",
        "compose",
        "dashboard",
    )
]


def script(page: str) -> Script:
    """Return the script of a page.

    Args:
        page: the name of its module in ``pages``.
    """
    return Script(f"{SCRIPTS}/pages/{page}.js", type="module")
