"""Task functions whose results and errors are as awkward as Python allows."""

import asyncio
import sys
from dataclasses import dataclass

from billiard.exceptions import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject

from django_tasktree import StopPropagation, current_node, task_with_callbacks

MODULE = __name__


class NoText(Exception):
    def __str__(self):
        raise RuntimeError("no str")

    def __repr__(self):
        raise RuntimeError("no repr")


class NoRepr(Exception):
    def __repr__(self):
        raise KeyboardInterrupt


class NoArguments(Exception):
    @property
    def args(self):  # type: ignore[override]
        raise RuntimeError("no args")


class TextIsNumber(Exception):
    def __str__(self):
        return 5


class NoModule(Exception):
    __module__ = None  # type: ignore[assignment]


class OddModule(Exception):
    __module__ = "a\x00b\ud800"


class InterruptsInText(Exception):
    def __str__(self):
        raise KeyboardInterrupt


class ExitsInText(Exception):
    def __str__(self):
        raise SystemExit(3)


class ExitsInPickle(Exception):
    def __reduce__(self):
        raise SystemExit(3)


class EqualsAll(Exception):
    def __eq__(self, other):
        return True

    def __hash__(self):
        raise TypeError("no hash")


class TextIsSubclass(Exception):
    def __str__(self):
        return _Text("fine")


class _Text(str):
    def __len__(self):
        raise RuntimeError("no len")


class Untidy(type):
    def __getattribute__(cls, name):
        if name == "__qualname__":
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class NoName(Exception, metaclass=Untidy):
    pass


class NeitherKind(BaseException):
    """A BaseException, which Celery does not handle."""


class Liar:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1

    def __repr__(self):
        raise RuntimeError("no repr")


class NoShape(dict):
    def __repr__(self):
        raise RuntimeError("no repr")


LongName = type("L" * 300, (Exception,), {})
LongNameNul = type("n" * 300, (Exception,), {"__module__": "a\x00"})


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def _fall():
    return _fall()


def _raise(error, cause=None):
    raise error from cause


def _two_at_once():
    if sys.version_info < (3, 11):
        raise ValueError("a\x00")
    raise ExceptionGroup("both\x00", [ValueError("a\x00"), KeyError("b\ud800")])  # noqa: F821


def _noted():
    error = ValueError("noted")
    error.__notes__ = ["a\x00b\ud800"]
    raise error


def _add(*args, **options):
    current_node().add_task(hostile, *args, **options)


def _syntax():
    error = SyntaxError("bad", ("file\ud800", 1, 2, "te\x00xt"))
    error.text = object()  # type: ignore[assignment]
    raise error


@dataclass(frozen=True)
class Case:
    """What a task function does, and the expected outcome of the node.

    Attributes:
        act: the task function.
        type: the beginning of the error's type; None if the task succeeds.
        message: a part of the error's message.
        result: the expected result.
    """

    act: object
    type: str | None = None
    message: str = ""
    result: object = None


def fails(act, kind, message=""):
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return Case(act, name, message)


def raises(error, message=""):
    return fails(lambda: _raise(error()), type(error()), message)


UNWRITABLE = "django_tasktree.exceptions.SerializationError"

CASES = {
    "nul in a message": raises(lambda: ValueError("a\x00b"), r"a\x00b"),
    "surrogate in a message": raises(lambda: ValueError("a\ud800b"), r"a\ud800b"),
    "both in arguments": raises(lambda: KeyError("a\x00", "\udfff", b"\x00"), r"('a\x00', '\udfff', b'\x00')"),
    "emoji in a message": raises(lambda: ValueError("\U0001f600"), "\U0001f600"),
    "huge message": raises(lambda: ValueError("x" * 5_000_000 + "\x00"), r"characters left out"),
    "text raises": raises(NoText, "can't be shown: builtins.RuntimeError"),
    "repr raises": raises(lambda: NoRepr("fine"), "fine"),
    "arguments raise": raises(lambda: NoArguments("fine"), "fine"),
    "text is a number": raises(TextIsNumber, "can't be shown: builtins.TypeError"),
    "text is a subclass": raises(TextIsSubclass, "fine"),
    "no module": fails(lambda: _raise(NoModule("fine")), "NoModule", "fine"),
    "odd module": fails(lambda: _raise(OddModule("fine")), r"a\x00b\ud800.OddModule", "fine"),
    "no name": fails(lambda: _raise(NoName("fine")), "NoName", "fine"),
    "long name": fails(lambda: _raise(LongName("fine")), MODULE + ".LLLL", "fine"),
    "long name and nul": fails(lambda: _raise(LongNameNul("fine")), r"a\x00.nnnn", "fine"),
    "interrupt in text": raises(InterruptsInText, "can't be shown: builtins.KeyboardInterrupt"),
    "exit in text": raises(ExitsInText, "can't be shown: builtins.SystemExit"),
    "exit in pickle": raises(lambda: ExitsInPickle("fine"), "fine"),
    "equals all": raises(lambda: EqualsAll("fine"), "fine"),
    "nul in the cause": fails(lambda: _raise(ValueError("outer"), ValueError("in\x00ner")), ValueError, "outer"),
    "nul in a note": fails(_noted, ValueError, "noted"),
    "several at once": fails(_two_at_once, "builtins.", r"\x00"),
    "odd syntax error": fails(_syntax, SyntaxError, "bad"),
    "recursion": fails(_fall, RecursionError, "recursion"),
    "memory": raises(MemoryError),
    "memory with a text": raises(lambda: MemoryError("a\x00b"), r"a\x00b"),
    "lost worker": raises(lambda: WorkerLostError("of a pool of its own"), "of a pool of its own"),
    "terminated": raises(lambda: Terminated(15), "15"),
    "soft time limit": raises(lambda: SoftTimeLimitExceeded("its own"), "its own"),
    "hard time limit": raises(lambda: TimeLimitExceeded(5), "5"),
    "cancelled": raises(asyncio.CancelledError),
    "generator exit": raises(GeneratorExit),
    "no exception": raises(lambda: NeitherKind("a\x00b"), r"a\x00b"),
    "exit": raises(lambda: SystemExit(3), "3"),
    "reject": fails(lambda: _raise(Reject("a\x00\ud800")), Reject, r"a\x00\ud800"),
    "reject with what raises": fails(lambda: _raise(Reject(NoText())), Reject, "can't be shown"),
    "unknown object": Case(Liar, UNWRITABLE, f"a value of type {MODULE}.Liar can't be written as JSON"),
    "nested too deep": Case(lambda: deep(100_000), UNWRITABLE, "type builtins.list can't be written as JSON (maximum"),
    "number too long": Case(lambda: 10**5000, UNWRITABLE, "type builtins.int can't be written as JSON (Exceeds"),
    "tuple as key": Case(lambda: {(1, 2): 3}, UNWRITABLE, "keys must be str"),
    "set": Case(lambda: {1, 2}, UNWRITABLE, "type builtins.set can't be written"),
    "no such extra type": Case(lambda: {"__type__": "x", "__value__": 1}, UNWRITABLE, "Unsupported type"),
    "stops with an object": Case(lambda: _raise(StopPropagation(Liar())), UNWRITABLE, "Liar"),
    "adds an object": Case(lambda: _add([Liar()]), UNWRITABLE, "the argument 'name' of task"),
    "adds what is too deep": Case(lambda: _add(["x"], deep_kwarg()), "builtins.TypeError", ""),
    "nul": Case(lambda: "a\x00b", result="a\x00b"),
    "nul in a key": Case(lambda: {"a\x00": "b\x00"}, result={"a\x00": "b\x00"}),
    "surrogate": Case(lambda: ["a\udcffb", "\ud83d\ude00"], result=["a\udcffb", "\U0001f600"]),
    "bytes": Case(lambda: b"\x00\xff", result=b"\x00\xff"),
    "infinity": Case(lambda: [float("inf"), float("-inf")], result=[float("inf"), float("-inf")]),
    "controls": Case(lambda: "".join(map(chr, range(160))), result="".join(map(chr, range(160)))),
    "number as key": Case(lambda: {1: 2}, result={"1": 2}),
    "dict without repr": Case(lambda: NoShape(a=1), result={"a": 1}),
}


def deep_kwarg():
    return {"value": deep(100_000)}


@task_with_callbacks
def hostile(name):
    return CASES[name].act()


@task_with_callbacks(ignore_result=True)
def hostile_ignored(name):
    return CASES[name].act()


@task_with_callbacks(atomic=True)
def hostile_atomic(name):
    return CASES[name].act()


@task_with_callbacks(autoretry_for=(Exception,), max_retries=1, default_retry_delay=0)
def hostile_retried(name):
    return CASES[name].act()


@task_with_callbacks
def ignores(text):
    raise Ignore(NoText() if text == "raises" else text)
