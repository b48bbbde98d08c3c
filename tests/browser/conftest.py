"""Fixtures of the tests in a real browser, with a real server."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User

from tests import services
from tests.browser.policy import POLICY
from tests.patience import PATIENCE

CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium")


def _missing():
    """Return why no browser can be started, or None."""
    if importlib.util.find_spec("playwright") is None:
        return "the package playwright is not installed"
    if not (Path(CHROMIUM).exists() or shutil.which(CHROMIUM)):
        return f"there is no Chromium at {CHROMIUM} (TEST_CHROMIUM)"
    return None


@pytest.fixture(scope="package")
def browser():
    """Yield Chromium, which all tests of this package share.

    Playwright runs an event loop in this thread. As long as it runs, no other test can run one, and Django
    takes all code here that uses the database for async code.
    """
    missing = _missing()
    if missing and services.REQUIRED:
        pytest.fail(f"TASKTREE_REQUIRE_SERVICES=1, but {missing}")
    if missing:
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as environment, sync_playwright() as playwright:
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        # Without the second argument, Chromium drops clicks on a page that it has not painted yet.
        arguments = ["--no-sandbox", "--allow-pre-commit-input"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def user(transactional_db):
    """Create a superuser."""
    return User.objects.create_superuser("anna", password="secret")


@pytest.fixture
def staff(transactional_db):
    """Return a function that creates a staff user who has only the given permissions of the app."""

    def create(*names):
        user = User.objects.create_user("bob", password="secret", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        return user

    return create


class Visitor:
    """A user at the browser. Errors in the page fail the test.

    Attributes:
        page: the page in the browser.
        errors: the errors and warnings of the console and of scripts.
    """

    def __init__(self, context, server):
        self.page = context.new_page()
        self.server = server
        self.errors = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.set_default_timeout(PATIENCE * 1000)

    def _console(self, message):
        # The test project has no icon, and tests of permissions check refusals themselves.
        expected = "favicon" in message.location["url"] or "403" in message.text
        if message.type in ("error", "warning") and not expected:
            self.errors.append(f"{message.text} {message.location}")

    def go(self, path):
        """Open an address, and return the response."""
        answer = self.page.goto(self.server.url + path)
        # None if only the fragment of the address has changed.
        assert answer is None or answer.headers["content-security-policy"] == POLICY
        return answer

    def log_in(self, name="anna"):
        """Log a user in, and return the visitor."""
        self.go("/admin/login/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", "secret")
        self.page.click("input[type=submit]")
        return self


@pytest.fixture
def visitor(browser, live_server):
    """Yield a visitor, and check that its page had no errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visitor = Visitor(context, live_server)
    yield visitor
    context.close()
    assert visitor.errors == []
