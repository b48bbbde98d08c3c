"""The test project's settings, with the invented shop as one of its apps."""

import sys
from pathlib import Path

from testproject.settings import *  # noqa: F403
from testproject.settings import INSTALLED_APPS as PROJECT_APPS

sys.path.insert(0, str(Path(__file__).parent))
INSTALLED_APPS = [*PROJECT_APPS, "shop"]
