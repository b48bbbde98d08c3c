"""Serialization of values and exceptions to text."""

import datetime as dt
import uuid
from decimal import Decimal

import pytest

from django_tasktree.encoding import serialization
from django_tasktree.encoding.errors import describe, rebuild
from django_tasktree.exceptions import SerializationError
from testproject.celery import app
from tests import celery_settings
from tests.sample.tasks import CustomError, Report


@pytest.fixture
def pickle_accepted(monkeypatch):
    monkeypatch.setattr(serialization, "pickle_accepted", lambda: True)


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        "ä",
        [1, {"a": None}],
        Decimal("1.10"),
        uuid.UUID(int=5),
        dt.date(2026, 1, 31),
        dt.datetime(2026, 1, 31, 1, 2, tzinfo=dt.timezone.utc),
        b"\xff",
    ],
)
def test_types_survive_json(value):
    text = serialization.dumps(value)
    assert not text.startswith("pickle:")
    assert serialization.loads(text) == value


def test_a_value_that_json_cannot_represent_is_refused():
    with pytest.raises(SerializationError, match=r"type tests\.sample\.tasks\.Report can't .*CELERY_ACCEPT_CONTENT"):
        serialization.dumps(Report("x"))


def test_pickle_is_the_last_resort_if_it_is_accepted(pickle_accepted):
    text = serialization.dumps([Report("x")])
    assert text.startswith("pickle:")
    assert serialization.loads(text)[0].name == "x"
    assert serialization.dumps([1]) == "[1]"


def test_a_project_that_prefers_pickle_keeps_tuples(pickle_accepted):
    assert serialization.loads(serialization.dumps((1, 2), prefer="pickle")) == (1, 2)
    assert serialization.dumps(1, prefer="pickle") == "1"


def test_pickle_is_never_loaded_if_it_is_not_accepted(monkeypatch):
    monkeypatch.setattr(serialization, "pickle_accepted", lambda: True)
    text = serialization.dumps(Report("x"))
    monkeypatch.undo()
    assert not serialization.pickle_accepted()
    with pytest.raises(SerializationError, match="add 'pickle'"):
        serialization.loads(text)


def test_accept_content_decides_whether_pickle_is_used():
    with celery_settings.changed(app, accept_content=["json", "pickle"]):
        assert serialization.pickle_accepted()
    assert not serialization.pickle_accepted()


def _raised(exc):
    try:
        raise exc
    except type(exc) as caught:
        return caught


@pytest.mark.parametrize(
    "exc", [ValueError("no"), CustomError("a", 2), KeyError("k"), UnicodeDecodeError("a", b"", 0, 1, "r")]
)
def test_an_exception_keeps_its_type(exc):
    rebuilt = rebuild(describe(_raised(exc)))
    assert type(rebuilt) is type(exc)
    assert str(rebuilt) == str(exc)
    assert "Traceback" in str(rebuilt.__cause__)


def test_an_exception_that_cannot_be_imported_is_named():
    class Local(Exception):
        pass

    rebuilt = rebuild(describe(_raised(Local("why"))))
    assert type(rebuilt).__name__ == "NodeFailed"
    assert "Local: why" in str(rebuilt)


def test_an_exception_with_arguments_of_any_type_keeps_its_message():
    rebuilt = rebuild(describe(_raised(ValueError(object()))))
    assert type(rebuilt) is ValueError
    assert "object object" in str(rebuilt)


def test_an_exception_whose_str_fails_is_described():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("mute")

    assert "can't be shown" in describe(_raised(Mute())).message


def test_a_long_message_is_cut_in_the_middle():
    error = describe(_raised(ValueError("a" * 300_000 + "end")))
    assert len(error.message) < 101_000
    assert error.message.endswith("end")
