"""Other projects that run tasks, each with a virtual environment and a database of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import environment

DRIVERS = Path(__file__).resolve().parent / "peer_drivers"
ENVIRONMENTS = environment.ROOT / ".venv-peers"


@dataclass(frozen=True)
class Peer:
    """Another project.

    Attributes:
        name: its name.
        requirements: the packages to install.
        set_up: the arguments of Python that create its tables.
        worker: the arguments of Python that run its worker.
        ready: the text in the worker's log that shows that it is ready.
        driver: the script in ``peer_drivers`` that launches shapes.
    """

    name: str
    requirements: Sequence[str]
    set_up: Sequence[str]
    worker: Sequence[str]
    ready: str
    driver: str

    @property
    def python(self) -> Path:
        """The Python of its virtual environment."""
        return ENVIRONMENTS / self.name / "bin" / "python"

    def install(self) -> None:
        """Make the virtual environment, unless it exists.

        Raises:
            Unavailable: if the packages can't be installed.
        """
        complete = ENVIRONMENTS / self.name / "complete"
        if complete.exists():
            return
        commands = (
            [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENTS / self.name)],
            [str(self.python), "-m", "pip", "install", "--quiet", *self.requirements],
        )
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise environment.Unavailable(f"{self.name} can't be installed:\n{done.stderr[-1000:]}")
        complete.touch()

    def version(self) -> str:
        """Return its version."""
        return self._run("-c", f"from importlib.metadata import version; print(version({self.name!r}))").strip()

    @contextmanager
    def running(self, concurrency: int) -> Iterator["Driver"]:
        """Run a worker, and yield what launches shapes on it."""
        self.install()
        with environment.database(f"tasktree_bench_{os.getpid()}_{self.name}") as url:
            env = {
                **os.environ,
                "DATABASE_URL": url.replace("postgres://", "postgresql://"),
                "DJANGO_SETTINGS_MODULE": "qraft_settings",
                "PYTHONPATH": str(DRIVERS),
                "BENCH_CONCURRENCY": str(concurrency),
            }
            self._run(*self.set_up, env=env)
            worker = [str(self.python), *(argument.format(concurrency=concurrency) for argument in self.worker)]
            with environment.background(self.name, worker, self.ready, DRIVERS, env), Driver(self, env) as driver:
                yield driver

    def _run(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        command = [str(self.python), *arguments]
        done = subprocess.run(command, cwd=DRIVERS, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise environment.Unavailable(f"{self.name}: {' '.join(arguments)} fails:\n{done.stderr[-1000:]}")
        return done.stdout


class Driver:
    """A process that launches shapes on request; see ``peer_drivers/driver.py``."""

    def __init__(self, peer: Peer, env: dict[str, str]) -> None:
        command = [str(peer.python), peer.driver]
        self._process = subprocess.Popen(
            command,
            cwd=DRIVERS,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=environment.STOP_TIMEOUT)

    def seconds(self, shape: str, size: int) -> float:
        """Run a shape, and return the seconds from its launch to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{shape} {size}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            word, _, figure = line.partition(" ")
            if word == "seconds":
                return float(figure)
        raise RuntimeError("the driver of the peer ended")


PEERS = (
    Peer(
        name="procrastinate",
        requirements=["procrastinate", "psycopg[binary,pool]"],
        set_up=["procrastinate_driver.py", "--set-up"],
        worker=["-m", "procrastinate", "--app", "procrastinate_jobs.app", "worker", "--concurrency", "{concurrency}"],
        ready="Starting worker on",
        driver="procrastinate_driver.py",
    ),
    Peer(
        name="django-qraft",
        requirements=["django-qraft", "django~=5.2.0", "dj-database-url", "psycopg[binary]"],
        set_up=["-m", "django", "migrate", "--verbosity", "0"],
        worker=["-m", "django", "qraftcluster"],
        ready=" running.",
        driver="qraft_driver.py",
    ),
)
