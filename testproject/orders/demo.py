"""Run the demo without anybody watching: ``python -m testproject.orders.demo``.

It launches the tree with a worker, and approves the totals from the command line when the run waits for that.
"""

import os
import shlex
import subprocess
import sys
import time
import uuid

import django

_MANAGE = [sys.executable, "manage.py"]
#: How long the run may take to reach the approval, in seconds.
_PATIENCE = 300
_APPROVAL = "files/read/total/approved"


def main() -> int:
    """Run the demo, and return the exit code of the command that runs the tree."""
    key = f"demo {uuid.uuid4()}"
    running = subprocess.Popen([*_MANAGE, "run_tasktree", "orders", "--key", key, "--worker"])  # noqa: S603
    try:
        run_id = _wait_for_approval(key, running)
        if run_id is not None:
            command = ["tasktree", "complete", run_id, _APPROVAL, "--param", "by=the demo", "--yes"]
            sys.stdout.write(f"$ manage.py {shlex.join(command)}\n")
            sys.stdout.flush()
            subprocess.run([*_MANAGE, *command], check=True)  # noqa: S603
        return running.wait()
    finally:
        if running.poll() is None:
            running.terminate()
            running.wait()


def _wait_for_approval(key: str, running: "subprocess.Popen[bytes]") -> str | None:
    """Return the ID of the run when it waits for the approval; None if it ends before."""
    from django_tasktree.models import NodeRun

    waiting = NodeRun.objects.filter(run__key=key, label="approved", state="WAITING")
    end = time.monotonic() + _PATIENCE
    while running.poll() is None and time.monotonic() < end:
        run_id = waiting.values_list("run_id", flat=True).first()
        if run_id is not None:
            return str(run_id)
        time.sleep(0.2)
    return None


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")
    django.setup()
    sys.exit(main())
