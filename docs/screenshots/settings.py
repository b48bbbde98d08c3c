"""The settings of the test project, with the example shop as an app.

``TASKTREE_THEME``
    The theme of the admin: ``unfold``, ``jazzmin`` or ``grappelli``; by default Django's own.
"""

import os
import sys
from pathlib import Path

from testproject.settings import *  # noqa: F403
from testproject.settings import INSTALLED_APPS as PROJECT_APPS

sys.path.insert(0, str(Path(__file__).parent))
THEME = os.environ.get("TASKTREE_THEME", "")
# A theme replaces templates of the admin, so it must be first.
INSTALLED_APPS = [*([THEME] if THEME else []), *PROJECT_APPS, "shop"]
ROOT_URLCONF = "docs.screenshots.urls"
