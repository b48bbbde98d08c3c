"""A real browser, a real server, a real worker."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User

from tests import services
from tests.browser.policy import POLICY

CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium")


def _missing():
    if importlib.util.find_spec("playwright") is None:
        return "the package playwright is not installed"
    if not (Path(CHROMIUM).exists() or shutil.which(CHROMIUM)):
        return f"there is no Chromium at {CHROMIUM} (TEST_CHROMIUM)"
    return None


@pytest.fixture(scope="package")
def browser():
    """Chromium, for as long as the tests of this package run.

    Playwright runs a loop of its own in this thread. Until it ends no other test can run one, and
    Django takes all that uses the database here for async code.
    """
    missing = _missing()
    if missing and services.REQUIRED:
        pytest.fail(f"TASKTREE_REQUIRE_SERVICES=1, but {missing}")
    if missing:
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as environment, sync_playwright() as playwright:
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def user(transactional_db):
    return User.objects.create_superuser("anna", password="secret")


@pytest.fixture
def staff(transactional_db):
    """Make a user of the admin who has just these permissions of the app."""

    def make(*names):
        user = User.objects.create_user("bob", password="secret", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        return user

    return make


class Visitor:
    """Somebody at the browser; what goes wrong in the page fails the test."""

    def __init__(self, context, server):
        self.page = context.new_page()
        self.server = server
        self.troubles = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.set_default_timeout(20_000)

    def _console(self, message):
        # Nobody has an icon for the test project; what was refused is told by the tests that ask for it.
        wanted = "favicon" in message.location["url"] or "403" in message.text
        if message.type in ("error", "warning") and not wanted:
            self.troubles.append(f"{message.text} {message.location}")

    def go(self, path):
        answer = self.page.goto(self.server.url + path)
        # None where the address differs in its fragment alone.
        assert answer is None or answer.headers["content-security-policy"] == POLICY
        return answer

    def log_in(self, name="anna"):
        self.go("/admin/login/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", "secret")
        self.page.click("input[type=submit]")
        return self


@pytest.fixture
def visitor(browser, live_server):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = Visitor(context, live_server)
    yield found
    context.close()
    assert found.troubles == []
