"""The inventory demo, compared with an independent count."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from django_tasktree.definitions.launch import launch_definition
from django_tasktree.exceptions import InvalidParameter
from django_tasktree.models import TreeRun

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def source(tmp_path):
    """Return a directory with files, hidden files, an empty directory and a symbolic link."""
    top = tmp_path / "source"
    for path, size in [("a", 10), ("b/c", 3000), ("b/d/e", 7), ("b/d/f", 0), (".git/x", 5), ("b/.hidden", 5)]:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(path.encode() * size)
    (top / "empty").mkdir()
    (top / "back").symlink_to(top)
    return top


def take_inventory(source, tmp_path, **params):
    """Run the demo; return its gather node and the path of the manifest."""
    target = tmp_path / "manifests" / "manifest.json"
    result = launch_definition("inventory", {"path": source, "manifest": target, **params})
    assert result.state == "SUCCESS"
    (gather,) = [node for node in result.children[0].children if node.node.is_gather]
    return gather, target


def digests_of(source, hidden):
    """Return the SHA-256 of each file by its path."""
    found = {}
    for folder, folders, names in os.walk(source):
        if not hidden:
            folders[:] = [name for name in folders if not name.startswith(".")]
            names = [name for name in names if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                found[str(path.relative_to(source))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.mark.parametrize("hidden", [False, True])
def test_every_file_is_in_the_manifest_and_the_totals_add_up(eager, source, tmp_path, hidden):
    node, target = take_inventory(source, tmp_path, hidden=hidden)
    manifest = json.loads(target.read_text())
    files = {
        os.path.normpath(f"{directory['path']}/{file['name']}"): file["sha256"]
        for directory in manifest["directories"]
        for file in directory["files"]
    }
    expected = digests_of(source, hidden)
    assert files == expected
    totals = node.get()
    assert totals == {**manifest["totals"], "manifest": str(target)}
    assert totals["files"] == len(expected)
    assert totals["bytes"] == sum((source / path).stat().st_size for path in expected)
    assert totals["directories"] == (5 if hidden else 4)
    assert (totals["others"], totals["unreadable"]) == (1, 0)
    assert (totals["largest"], totals["largest_bytes"]) == ("./b/c", 9000)
    assert list(target.parent.iterdir()) == [target]


def test_the_digest_changes_with_a_file(eager, source, tmp_path):
    before = take_inventory(source, tmp_path)[0].get()["digest"]
    assert take_inventory(source, tmp_path)[0].get()["digest"] == before
    (source / "b" / "d" / "e").write_bytes(b"changed")
    assert take_inventory(source, tmp_path)[0].get()["digest"] != before


def test_unreadable_directories_are_counted_and_not_fatal(eager, source, tmp_path, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("/b/d"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("testproject.inventory.digest.os.scandir", refuse)
    node, target = take_inventory(source, tmp_path)
    assert node.get()["unreadable"] == 1
    unreadable = {each["path"]: each["unreadable"] for each in json.loads(target.read_text())["directories"]}
    assert unreadable["./b/d"] == [{"name": ".", "reason": "Permission denied"}]


def test_names_that_are_not_utf8_are_kept(eager, source, tmp_path):
    (source / os.fsdecode(b"\xff\n")).write_bytes(b"x")
    node, target = take_inventory(source, tmp_path)
    assert node.get()["files"] == 5
    (top,) = [each for each in json.loads(target.read_text())["directories"] if each["path"] == "."]
    assert "\udcff\n" in [file["name"] for file in top["files"]]


def test_the_default_path_of_the_manifest_contains_the_id_of_the_run(eager, source, tmp_path, settings):
    settings.VAR_DIR = tmp_path / "var"
    run = launch_definition("inventory", {"path": source})
    assert (tmp_path / "var" / "manifests" / f"{run.id}.json").exists()


@pytest.mark.parametrize(("path", "message"), [("gone", "there is no directory"), ("a", "is not a directory")])
def test_a_wrong_path_is_refused_at_the_launch(source, path, message):
    with pytest.raises(InvalidParameter, match=message) as caught:
        launch_definition("inventory", {"path": source / path})
    assert list(caught.value.errors) == ["path"]
    assert not TreeRun.objects.exists()
