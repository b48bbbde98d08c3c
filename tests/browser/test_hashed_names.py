"""The scripts of pages work with storages that put hashes into file names, with and without rewriting imports."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.management import call_command
from django.urls import reverse

from django_tasktree import __version__
from django_tasktree.views import progress_link
from tests.browser.admin_pages import RUNS, run_page, wide

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
APP_FILES = "/static/django_tasktree/"


class RewritesImports(ManifestStaticFilesStorage):
    """Put hashes into imports, too."""

    support_js_module_import_aggregation = True


@pytest.fixture(params=[ManifestStaticFilesStorage, RewritesImports])
def storage(request, settings, tmp_path):
    """Collect the static files with a storage, and return its class."""
    settings.STATIC_ROOT = str(tmp_path)
    backend = f"{request.param.__module__}.{request.param.__name__}"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": backend}}
    call_command("collectstatic", interactive=False, verbosity=0)
    return request.param


@pytest.fixture
def requested(storage, settings, app, user, visitor):
    """Return the list of the app's files that the page requests; they are served from the storage's folder."""
    found = []

    def answer(route):
        path = route.request.url.partition("/static/")[2]
        if APP_FILES in route.request.url:
            found.append(path)
        route.fulfill(path=Path(settings.STATIC_ROOT) / path)

    visitor.page.route("**/static/**", answer)
    visitor.log_in()
    return found


def test_every_script_is_loaded_once_and_from_this_version(storage, requested, visitor):
    run = wide(3)
    page = visitor.page
    selectors = {
        run_page(run, "#graph"): "#graph .tasktree-box",
        RUNS: "#result_list",
        "/admin/django_tasktree/": "#tasktree-dashboard",
        reverse("admin:django_tasktree_treerun_compose"): "#tasktree-add-node:visible",
        progress_link(run): "[data-tasktree-live]",
    }
    for address, selector in selectors.items():
        requested.clear()
        visitor.go(address)
        page.wait_for_selector(selector)
        page.wait_for_load_state("load")
        scripts = [path for path in requested if path.endswith(".js")]
        plain = [re.sub(r"\.[0-9a-f]{12}\.js$", ".js", path) for path in scripts]
        assert scripts, address
        assert len(set(plain)) == len(plain)
        assert all(f"/{__version__}/" in path for path in scripts)
        # Without rewritten imports only the scripts that a page itself names have hashes.
        hashed = [path for path in scripts if path not in plain]
        assert all("/pages/" in path for path in hashed) or storage is RewritesImports
        assert len(hashed) == len(scripts) or storage is not RewritesImports
    run.revoke()
