"""Lines fit the terminal; elsewhere they fit ``COLUMNS``, if it is set."""

import re
from io import StringIO

import pytest
from django.core.management import call_command
from rich.text import Text

from django_tasktree import TaskTree
from django_tasktree.management.display.console import fitting
from django_tasktree.models import NodeRun
from tests.sample.tasks import echo, fail

pytestmark = pytest.mark.django_db(transaction=True)
LONG = "the server did not answer within thirty seconds, although it was asked three times; " * 2


def output(*args):
    """Return the output of ``manage.py tasktree``, without escape sequences, and its longest line."""
    out = StringIO()
    call_command("tasktree", *args, stdout=out)
    text = re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())
    return text, max(map(len, text.splitlines()))


@pytest.fixture
def result(eager):
    """Return a run with long names, arguments, errors and results."""
    tree = TaskTree("a run with quite a long name, such as that of a report for all shops")
    load = tree.add_task(echo, ["https://example.org/" + "path/" * 20], label="load")
    for number in range(15):
        load.add_task(fail, [f"{LONG}{number}"]).add_task(echo, ["not reached"])
    load.gather(echo, [{"key": LONG}], label="all", run_when="always").add_task(echo, [LONG])
    result = tree.apply_async()
    result["load/3"].retry(by="somebody with a long name, who works in the department of long names")
    return result


@pytest.mark.parametrize("options", [[], ["--ids"], ["--depth", "1"]])
@pytest.mark.parametrize("color", [[], ["--force-color"]])
@pytest.mark.parametrize("columns", [80, 132])
def test_show(result, monkeypatch, columns, options, color):
    monkeypatch.setenv("COLUMNS", str(columns))
    text, longest = output("show", str(result.id), *options, *color)
    assert columns - 20 < longest <= columns
    assert str(result.id) in text
    # Errors are not cut.
    assert " ".join(re.sub("[│├─└]", " ", text).split()).count(LONG.strip()) >= 10


def test_without_a_terminal_and_columns_lines_are_not_broken(result):
    text, longest = output("show", str(result.id))
    assert longest > 200
    assert re.search(f"✘ fail\\(.*{LONG}3$", text, re.MULTILINE)


def test_sub_runs_have_short_ids_if_long_ones_do_not_fit(result, monkeypatch):
    node = result["load"].id
    NodeRun.objects.filter(id=node).update(sub_run_id=result.id)
    for columns, key in ((80, f"{str(result.id)[:13]} "), (200, f"{result.id} ")):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert f"→ run {key}" in f"{output('show', str(result.id), '--depth', '1', '--ids')[0]} "


def test_the_list_fits_columns(result, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert output("list")[1] <= 80


def test_a_line_is_broken_between_words():
    line = Text.assemble(("one two", "red"), " three  four ", ("five", "bold"))
    assert [part.plain for part in fitting(line, 10, 2)] == ["one two", "  three", "  four", "  five"]
    assert [part.plain for part in fitting(Text("0123456789abc"), 10, 2)] == ["0123456789", "  abc"]
    assert fitting(line, 10)[0].spans[0].style == "red"
    assert fitting(line, None) == [line]
