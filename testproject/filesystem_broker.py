"""Kombu's ``filesystem://`` transport, with messages that appear whole.

Kombu (5.7) writes a message under its final name, and a consumer that is quick enough takes the file away while it is
still empty; the worker then stops with a JSONDecodeError. Here a message is written aside and renamed into the queue.
"""

import os
import uuid
from pathlib import Path
from time import time_ns
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Publishes by renaming."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]  # the base classes disagree
        folder = Path(self.data_folder_out)
        name = f"{time_ns()}_{uuid.uuid4()}"
        # Consumers look at nothing but NAME.QUEUE.msg.
        aside = folder / f"{name}.tmp"
        aside.write_text(dumps(payload), encoding="utf-8")
        os.replace(aside, folder / f"{name}.{queue}.msg")  # noqa: PTH105  one call, atomic on POSIX


class Transport(filesystem.Transport):
    """The transport of ``filesystem://`` in this project."""

    Channel = Channel


def install() -> None:
    """Let ``filesystem://`` mean this transport, in this process."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
