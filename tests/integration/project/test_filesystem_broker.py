"""The filesystem broker: no consumer reads a message before it is complete, and the documented settings work."""

import threading
from pathlib import Path

import pytest
from kombu import Connection

from django_tasktree import TaskTree
from testproject import filesystem_broker
from tests import databases, documents, services, workers
from tests.patience import PATIENCE
from tests.sample.tasks import echo


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


@pytest.mark.worker
@pytest.mark.django_db(transaction=True)
def test_a_worker_runs_a_tree_with_the_documented_settings(tmp_path, app):
    blocks = documents.examples(documents.DOCS / "installation.rst")
    (source,) = [block.source for block in blocks if "filesystem://" in block.source]
    documented = {"BASE_DIR": tmp_path}
    exec(source, documented)
    base = f"from pathlib import Path\nfrom tests.settings import *\nBASE_DIR = Path({str(tmp_path)!r})\n"
    (tmp_path / "documented_settings.py").write_text(base + source, encoding="utf-8")
    path = f"{tmp_path}:{documents.ROOT}"
    queue, transport = "documented", documented["CELERY_BROKER_TRANSPORT_OPTIONS"]
    with databases.active("default"), workers.use_broker(app, services.FILESYSTEM, queue, transport):
        env = workers.environment("default", str(documented["CELERY_BROKER_URL"]), queue, PYTHONPATH=path)
        env["DJANGO_SETTINGS_MODULE"] = "documented_settings"
        worker = workers.Worker(workers.log_dir() / "documented.log", env, pool="solo").wait_until_ready()
        try:
            tree = TaskTree()
            first = tree.add_task(echo, ["first"])
            first.add_task(echo, [first.output], label="second")
            run = tree.apply_async()
            assert run.wait(timeout=PATIENCE) == "SUCCESS"
        finally:
            worker.stop()
    # Not the broker of the other tests.
    assert (tmp_path / "broker" / "control" / "celery.pidbox.exchange").exists()
