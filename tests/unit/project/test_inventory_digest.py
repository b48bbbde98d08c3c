"""The demo of an inventory: the digest of one directory."""

import hashlib
import os

import pytest

from testproject.inventory.digest import hash_file, read_directory
from testproject.inventory.totals import totals_of


def test_files_are_hashed_and_links_and_hidden_entries_are_skipped(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"hello")
    (tmp_path / ".secret").write_bytes(b"x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    listing = read_directory(tmp_path, hidden=False)
    assert listing.files == [("a.txt", 5, hashlib.sha256(b"hello").hexdigest())]
    assert (listing.directories, listing.others, listing.unreadable) == (["sub"], 3, [])
    assert [name for name, *_ in read_directory(tmp_path, hidden=True).files] == [".secret", "a.txt"]


def test_an_unreadable_file_is_reported_with_its_reason(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"")
    monkeypatch.setattr(
        "testproject.inventory.digest.hash_file", lambda path: (_ for _ in ()).throw(PermissionError(13, "denied"))
    )
    assert read_directory(tmp_path, hidden=False).unreadable == [("a", "denied")]
    assert read_directory(tmp_path / "gone", hidden=False).unreadable == [(".", "No such file or directory")]


def test_a_file_swapped_for_a_link_is_not_followed(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        hash_file(str(tmp_path / "link"))


def test_totals_add_up_and_the_digest_does_not_depend_on_the_path():
    empty = {"files": [], "directories": [], "unreadable": [], "others": 0}
    listing = {**empty, "files": [("a", 5, "00")], "unreadable": [("b", "denied")]}
    one = totals_of("./x", listing, [totals_of("./x/y", {**empty, "files": [("c", 7, "11")], "others": 2})])
    other = totals_of("./z/x", listing, [totals_of("./z/x/y", {**empty, "files": [("c", 7, "11")], "others": 2})])
    assert (one["directories"], one["files"], one["bytes"], one["others"], one["unreadable"]) == (2, 2, 12, 2, 1)
    assert (one["largest"], one["largest_bytes"]) == ("./x/y/c", 7)
    assert one["digest"] == other["digest"]
    assert totals_of(".", empty)["largest"] is None
    assert totals_of(".", empty)["digest"] != one["digest"]
