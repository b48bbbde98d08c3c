"""The test project's filesystem broker: no consumer reads a message before it is complete."""

import threading
from pathlib import Path

from kombu import Connection

from testproject import filesystem_broker


def test_a_message_is_visible_only_when_it_is_complete(tmp_path):
    folders = {name: tmp_path / name for name in ("messages", "control", "processed")}
    for folder in folders.values():
        folder.mkdir()
    options = {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "control_folder": str(folders["control"]),
        "processed_folder": str(folders["processed"]),
    }
    filesystem_broker.install()
    payload = "x" * 100_000
    seen, done = [], threading.Event()

    def watch():
        while not done.is_set():
            seen.extend(path.stat().st_size for path in Path(folders["messages"]).glob("*.q.msg"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with Connection("filesystem://", transport_options=options) as connection:
        queue = connection.SimpleQueue("q")
        for _ in range(100):
            queue.put(payload)
        done.set()
        watcher.join()
        assert [queue.get(timeout=5).payload for _ in range(100)] == [payload] * 100
        queue.close()
    assert all(size > len(payload) for size in seen)
