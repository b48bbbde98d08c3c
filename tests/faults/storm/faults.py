"""Faults of workers, brokers and databases in a storm."""

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import psutil
from django.db import connections, transaction
from kombu import Connection

from django_tasktree.models import NodeRun


@dataclass
class Faults:
    """All faults, each with its name in the report.

    Attributes:
        choose: random choices.
        workers: the workers.
        broker: the broker process.
        alias: the database.
        server: the process of the database; None if the database belongs to the machine.
    """

    choose: random.Random
    workers: Any
    broker: Any
    alias: str
    server: Any = None
    _temporary: list = field(default_factory=list)

    def all(self):
        """Return a function for each name of a fault."""
        found = {
            "pool processes killed": self._kill_a_pool_process,
            "workers killed": lambda: self.workers.kill_a_worker(self.choose),
            "workers shut down warmly": self._shut_down(signal.SIGTERM),
            "workers shut down softly": self._shut_down(signal.SIGQUIT),
            "workers stopped for a while": self._stop_a_worker,
            "pool processes stopped for a while": self._stop_a_pool_process,
            "queues emptied": lambda: self.broker.empty(self.workers.queue),
            "brokers killed and started again": self.broker.restart,
            "brokers that hang for a while": self._stop_the_broker,
            "messages doubled": self._double_messages,
            "database connections cut": self.cut_connections,
            "rows locked for a while": self._lock_rows,
        }
        if self.server is not None:
            found["databases restarted as after a crash"] = self.server.restart
        return found

    def end_temporary_faults(self, *, everything=False):
        """End the temporary faults whose time is over, or all of them."""
        for entry in list(self._temporary):
            until, act = entry
            if everything or time.monotonic() > until:
                self._temporary.remove(entry)
                with suppress(ProcessLookupError, psutil.NoSuchProcess):
                    act()

    def cut_connections(self):
        """End every connection to the database, including that of this process."""
        if self.server is not None:
            self.server.connect_again()
            self.server.cut_connections()
            self.server.connect_again()
            return
        name = connections[self.alias].settings_dict["NAME"]
        with connections[self.alias].cursor() as cursor:
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()", [name]
            )
            for (key,) in cursor.fetchall():
                with suppress(Exception):
                    cursor.execute(f"KILL CONNECTION {int(key)}")

    def _kill_a_pool_process(self):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            self.workers.kill_a_pool_process(self.choose)

    def _shut_down(self, number):
        def act():
            worker = self.workers.workers.pop(0)
            self.workers.retire(worker)
            with suppress(ProcessLookupError):
                os.kill(worker.process.pid, number)

        return act

    def _stop_a_worker(self):
        """Stop a worker for so long that others take over its attempts, with which it then continues."""
        pid = self.choose.choice(self.workers.workers).process.pid
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGSTOP)
            self._later(self.choose.uniform(1, 8), lambda: os.killpg(pid, signal.SIGCONT))

    def _stop_a_pool_process(self):
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.choose.choice(self.workers.workers).process.pid).children()
            if children:
                process = self.choose.choice(children)
                process.suspend()
                self._later(self.choose.uniform(1, 6), process.resume)

    def _stop_the_broker(self):
        pid = self.broker.process.pid
        os.killpg(pid, signal.SIGSTOP)
        time.sleep(self.choose.uniform(0.5, 4))
        os.killpg(pid, signal.SIGCONT)

    def _later(self, seconds, act):
        self._temporary.append((time.monotonic() + seconds, act))

    def _double_messages(self):
        """Take messages from the queue and return each twice, in random order."""
        with Connection(self.broker.service.url) as connection, connection.channel() as channel:
            taken = []
            while len(taken) < 20 and (message := channel.basic_get(self.workers.queue, no_ack=True)) is not None:  # type: ignore[attr-defined]
                taken.append(message)
            twice = taken * 2
            self.choose.shuffle(twice)
            producer = connection.Producer(channel)
            for message in twice:
                producer.publish(
                    message.body,
                    routing_key=self.workers.queue,
                    content_type=message.content_type,
                    content_encoding=message.content_encoding,
                    headers=message.headers,
                    **{
                        name: message.properties[name]
                        for name in ("correlation_id", "reply_to")
                        if name in message.properties
                    },
                )

    def _lock_rows(self):
        """Lock rows of nodes in a long transaction, as another program could."""
        thread = Thread(target=self._hold_rows, args=[self.choose.uniform(0.5, 4)], daemon=True)
        thread.start()
        self._later(5, thread.join)

    def _hold_rows(self, seconds):
        connection = connections[self.alias]
        try:
            with suppress(Exception), transaction.atomic(using=self.alias):
                rows = NodeRun.objects.using(self.alias).filter(state__in=["STARTED", "QUEUED", "PENDING"])
                list(rows.select_for_update(skip_locked=True).values_list("id")[:20])
                time.sleep(seconds)
        finally:
            connection.close()
