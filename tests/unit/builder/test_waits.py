"""Wait nodes of trees that are being built: their options, and errors about them."""

from datetime import datetime, timedelta, timezone

import pytest
from django import forms
from django.utils.translation import gettext_lazy

from django_tasktree import TaskTree
from django_tasktree.builder.waits import EVENT_LENGTH
from django_tasktree.encoding import times
from django_tasktree.encoding.text import NAME_LENGTH
from django_tasktree.encoding.wait_spec import MOST_REMINDERS, WAIT, WaitSpec
from django_tasktree.exceptions import InvalidDefinition, InvalidOption, InvalidText
from tests.sample.payloads import ApprovalForm, decision, unsupported
from tests.sample.tasks import echo

DAY = timedelta(days=1)


class TestWaitFor:
    def test_the_label_is_the_name_by_default(self):
        tree = TaskTree()
        assert tree.wait_for("approved").label == "approved"
        other = tree.wait_for("approved", label="again")
        assert (other.label, other.spec.event, other.task) == ("again", "approved", WAIT)

    def test_siblings_differ_in_their_labels(self):
        tree = TaskTree()
        tree.wait_for("approved")
        with pytest.raises(InvalidOption, match="is the label of another child"):
            tree.wait_for("approved")
        assert len(tree.children) == 1

    @pytest.mark.parametrize("name", ["a/b", "", None])
    def test_an_invalid_name(self, name):
        with pytest.raises(InvalidOption, match=f"name={name!r}"):
            TaskTree().wait_for(name)

    def test_it_has_children_an_output_and_rules(self):
        top = TaskTree().add_task(echo, ["a"])
        ok = top.wait_for("approved", run_when="always", allow_failure=True, on_failure="stop", max_active=2)
        ok.add_task(echo, [ok.output])
        assert len(ok.children) == 1
        assert (ok.rules.run_when, ok.rules.allow_failure, ok.rules.on_failure, ok.rules.max_active) == (
            *("always", True, "stop", 2),
        )

    def test_the_specification(self):
        ok = TaskTree().wait_for(
            "approved",
            title=gettext_lazy("yes"),
            description=" Twice.\n\nOr not? ",
            form=ApprovalForm,
            timeout=DAY,
            on_timeout="success",
            default={"by": None},
            remind_after=DAY / 2,
            remind_every=timedelta(seconds=1.5),
        )
        assert ok.spec == WaitSpec(
            event="approved",
            title="yes",
            description="Twice.\n\nOr not?",
            form="tests.sample.payloads.ApprovalForm",
            timeout=86_400,
            on_timeout="success",
            default={"by": None},
            remind_after=43_200,
            remind_every=1.5,
        )
        assert WaitSpec.read(ok.spec.write()) == ok.spec
        assert (ok.spec.heading("approved"), WaitSpec("approved").heading("approved")) == ("yes", "approved")
        assert TaskTree().wait_for("a", params=decision).spec.write() == (
            '{"event": "a", "params": "tests.sample.payloads.decision"}'
        )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"form": ApprovalForm, "params": decision}, "form= or params=, not both"),
            ({"title": 7}, "title=7 is not a text"),
            ({"title": "one\ntwo"}, "has more than one line"),
            ({"description": ["text"]}, r"description=\['text'\] is not a text"),
            ({"form": ApprovalForm()}, "is not a class of forms"),
            ({"form": int}, "is not a class of forms"),
            ({"params": "decision"}, "is neither a function"),
            ({"params": int}, "is neither a function"),
            ({"params": {}}, "describes no payload"),
            ({"params": lambda by: by}, "can't be imported"),
            ({"timeout": 5}, r"timeout=5 is not a timedelta: give timedelta\(seconds=…\)"),
            ({"timeout": timedelta()}, "must be above zero"),
            ({"timeout": timedelta.max}, "below 100 years"),
            ({"timeout": DAY, "on_timeout": "fail"}, "must be one of 'failure', 'success', 'skip'"),
            ({"on_timeout": "skip"}, "has no effect without a timeout"),
            ({"timeout": DAY, "default": 1}, 'default= is the result after on_timeout="success"'),
            ({"timeout": DAY, "on_timeout": "success", "default": {1, 2}}, "can't be written as JSON"),
            ({"remind_every": -DAY}, "must be above zero"),
            ({"run_when": "sometimes"}, "run_when='sometimes'"),
            ({"max_active": 0}, "max_active=0"),
            ({"label": "a/b"}, "separates the labels"),
        ],
    )
    def test_wrong_options(self, options, message):
        tree = TaskTree()
        with pytest.raises(InvalidOption, match=message):
            tree.wait_for("approved", **options)
        assert tree.children == []

    def test_a_local_form(self):
        class Local(forms.Form):
            """A form that no other process can import."""

        with pytest.raises(InvalidOption, match="define it at the top level of a module"):
            TaskTree().wait_for("approved", form=Local)

    def test_an_unsupported_parameter(self):
        with pytest.raises(InvalidDefinition, match="the type set is not supported"):
            TaskTree().wait_for("approved", params=unsupported)

    @pytest.mark.parametrize("name", ["", "a/b", 7, None])
    def test_wrong_names(self, name):
        with pytest.raises(InvalidOption):
            TaskTree().wait_for(name)

    def test_a_long_name(self):
        TaskTree().wait_for("x" * EVENT_LENGTH)
        with pytest.raises(InvalidText, match="the name of the event has 100 characters"):
            TaskTree().wait_for("x" * (EVENT_LENGTH + 1))

    @pytest.mark.parametrize("texts", [{"title": "x" * (NAME_LENGTH + 1)}, {"description": "\0"}])
    def test_texts_that_can_not_be_stored(self, texts):
        with pytest.raises(InvalidText):
            TaskTree().wait_for("approved", **texts)

    def test_a_root_node_has_no_parent_that_could_fail(self):
        with pytest.raises(InvalidOption, match="never fits a root node"):
            TaskTree().wait_for("approved", run_when="failure")


class TestSleep:
    def test_a_duration(self):
        nap = TaskTree().sleep(timedelta(minutes=5), label="nap")
        assert (nap.label, nap.spec) == ("nap", WaitSpec(timeout=300, on_timeout="success"))

    def test_a_time(self):
        nap = TaskTree().sleep(until=datetime(2030, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))))
        assert (nap.label, nap.spec.until) == (None, "2030-01-31T10:00:00+00:00")

    @pytest.mark.parametrize(
        ("args", "options", "message"),
        [
            ((), {}, "give one of them"),
            ((DAY,), {"until": times.instant_now()}, "give one of them"),
            ((5,), {}, "is not a timedelta"),
            ((), {"until": "tomorrow"}, "is not a date with a time"),
            ((), {"until": datetime.max}, "until"),
        ],
    )
    def test_wrong_times(self, args, options, message):
        with pytest.raises(InvalidOption, match=message):
            TaskTree().sleep(*args, **options)


class TestReminders:
    SINCE = datetime(2030, 1, 31, tzinfo=timezone.utc)

    def due(self, *seconds, **options):
        spec = WaitSpec(event="a", **options)
        return [spec.reminders(self.SINCE, self.SINCE + timedelta(seconds=number)) for number in seconds]

    def test_none(self):
        assert self.due(0, 10**6) == [0, 0]

    def test_once(self):
        assert self.due(0, 4.9, 5, 10**6, remind_after=5) == [0, 0, 1, 1]

    def test_again_and_again(self):
        assert self.due(2, 3, 5, 6, 9, remind_every=3) == [0, 1, 1, 2, 3]
        assert self.due(4, 5, 7, 8, 11, remind_after=5, remind_every=3) == [0, 1, 1, 2, 3]

    def test_their_number_is_limited(self):
        assert self.due(10**6, remind_every=1) == [MOST_REMINDERS]
