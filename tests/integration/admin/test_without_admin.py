"""A project without Django's admin can use the template tag and the views."""

import subprocess
import sys

SCRIPT = """
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_celery_results", "django_tasktree"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SECRET_KEY="x",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()
from django.template import engines
import django_tasktree.urls

print(engines["django"].from_string("{% load tasktree %}it works").render({}))
"""


def test_templates_are_rendered():
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("it works\n", 0), ran.stderr
