"""The gallery shows exactly the pictures that exist."""

import ast
import re
from typing import Any

from tests import documents

PICTURES = documents.DOCS / "_static" / "screenshots"


def test_the_gallery_is_complete():
    shown = re.findall(
        r"_static/screenshots/([\w-]+\.png)", (documents.DOCS / "gallery.rst").read_text(encoding="utf-8")
    )
    assert sorted(shown) == sorted(path.name for path in PICTURES.glob("*.png"))


def test_each_page_has_all_its_pictures():
    source = (documents.DOCS / "screenshots" / "pages.py").read_text(encoding="utf-8")
    function: Any
    (function,) = [node for node in ast.walk(ast.parse(source)) if getattr(node, "name", "") == "pages_of"]
    names = {key.value for key in function.body[-1].value.keys}
    made = {f"{name}{suffix}.png" for name in names for suffix in ("", "-dark", "-narrow")}
    assert made == {path.name for path in PICTURES.glob("*.png")}
