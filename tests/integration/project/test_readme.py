"""The examples of the README run, and the package's long description is valid."""

from datetime import date

import pytest

from django_tasktree.reporting.progress import Progress
from tests import documents


@pytest.mark.django_db(transaction=True)
def test_the_examples_run(monkeypatch, eager):
    with documents.project(monkeypatch):
        names = documents.run(documents.examples(documents.README), "docs_readme")
        result = names["result"]
        assert result.wait() == "SUCCESS"
        assert result.progress() == Progress("SUCCESS", 7, 7, {"SUCCESS": 6, "SKIPPED": 1})
        orders = [f"order {number} of 2026-01-31" for number in range(3)]
        assert result.join() == [orders]
        assert result["orders/loads/total"].get() == sum(map(len, orders))
        assert names["report"](date(2026, 1, 31)) == result


def test_all_examples_are_found():
    """Examples are recognized by the form of their blocks; another form would silently exclude them."""
    found = documents.examples(documents.README)
    assert [example.module for example in found if example.module] == ["shop.tasks", "shop.trees", "shop.views"]
    assert all(example.runs for example in found)


def test_the_long_description_is_valid():
    docutils = pytest.importorskip("docutils.core", reason="docutils is not installed: it comes with the extra docs")
    text = "\n".join(path.read_text(encoding="utf-8") for path in (documents.README, documents.ROOT / "CHANGELOG.rst"))
    # If Sphinx was used in this process, its roles are registered with docutils, and would be accepted.
    assert ":doc:" not in text
    assert ":ref:" not in text
    strict = {"halt_level": 2, "report_level": 2, "syntax_highlight": "none", "_disable_config": True}
    docutils.publish_doctree(text, settings_overrides={**strict, "file_insertion_enabled": False})
