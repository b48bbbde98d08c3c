"""Kombu's ``filesystem://`` transport, with messages that are published atomically.

Kombu (5.7) writes a message under its final name. A quick consumer may take the file while it is still empty, and then
the worker stops with a JSONDecodeError. Here a message is written to a temporary file, which is renamed into the queue.
"""

import os
import uuid
from pathlib import Path
from time import time_ns
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """A channel that publishes messages by renaming a file."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]  # the base classes disagree
        folder = Path(self.data_folder_out)
        name = f"{time_ns()}_{uuid.uuid4()}"
        # Consumers ignore all files but NAME.QUEUE.msg.
        temporary = folder / f"{name}.tmp"
        temporary.write_text(dumps(payload), encoding="utf-8")
        os.replace(temporary, folder / f"{name}.{queue}.msg")  # noqa: PTH105  one call, atomic on POSIX


class Transport(filesystem.Transport):
    """The transport of ``filesystem://`` in this project."""

    Channel = Channel


def install() -> None:
    """Use this transport for ``filesystem://`` in this process."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
