"""Run the demo's site and a worker until Ctrl-C, then stop both: ``python -m testproject.serve``."""

import signal
import subprocess
import sys
import threading
import time

#: How long a process may take to stop before it is killed, in seconds.
PATIENCE = 10
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str]) -> int:
    """Start both processes; stop both when one of them ends or a signal arrives.

    Args:
        arguments: the arguments for ``runserver``.

    Returns:
        The exit code: 0 after a signal, otherwise that of the process which ended.
    """
    stopped = threading.Event()
    for number in _SIGNALS:
        # Only set a flag: an exception could leave a process running that is just being started.
        signal.signal(number, lambda *_: stopped.set())
    commands = [
        [sys.executable, "-m", "celery", "-A", "testproject", "worker", "--loglevel", "WARNING"],
        [sys.executable, "manage.py", "runserver", "--noreload", *arguments],
    ]
    running: list[subprocess.Popen[bytes]] = []
    try:
        # In sessions of their own, so that Ctrl-C reaches only this process, which then stops the others.
        running.extend(subprocess.Popen(command, start_new_session=True) for command in commands)  # noqa: S603
        while not stopped.wait(0.2):
            for process in running:
                if process.poll() is not None:
                    return process.returncode
        return 0
    finally:
        _end(running)


def _end(running: list["subprocess.Popen[bytes]"]) -> None:
    for process in running:
        process.terminate()
    end = time.monotonic() + PATIENCE
    while any(process.poll() is None for process in running) and time.monotonic() < end:
        time.sleep(0.1)
    for process in running:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
