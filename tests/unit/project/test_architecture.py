"""The page about the architecture and its pictures agree with the code."""

import re
import xml.etree.ElementTree as ET
from dataclasses import fields
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from celery import Task

from django_tasktree import tasks
from django_tasktree.dispatch.message import HEADER
from django_tasktree.dispatch.publisher import publish
from django_tasktree.encoding.ids import new_id
from django_tasktree.engine.types import Dispatch
from django_tasktree.models import NodeRun
from django_tasktree.recovery import sweep
from django_tasktree.states import NODE_FINAL, NODE_TRANSITIONS, RUN_FINAL, RUN_TRANSITIONS
from docs.diagrams import code, life, machines, rows
from docs.diagrams.pictures import PICTURES
from docs.diagrams.svg import WIDTH, Drawing
from tests import documents

PAGE = documents.DOCS / "architecture.rst"
STEPS = [one for one in life.STEPS if isinstance(one, life.Step)]
SVG = "{http://www.w3.org/2000/svg}"


@cache
def picture(name):
    return ET.fromstring(PICTURES[name]().svg())


def elements(name, tag):
    return picture(name).iter(SVG + tag)


def texts(name):
    return [(element.text, float(element.get("y"))) for element in elements(name, "text")]


def names(name):
    """Return the vertical position of each bold text."""
    bold = [one for one in elements(name, "text") if "name" in one.get("class", "").split()]
    return {one.text: float(one.get("y")) for one in bold}


def test_the_page_shows_every_picture():
    assert sorted(re.findall(r"^\.\. picture:: (\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == sorted(
        PICTURES
    )


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_well_formed_and_described(name):
    root = picture(name)
    svg = root[0]
    ids = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    assert ids[svg.get("aria-labelledby")]
    assert ids[svg.get("aria-describedby")]


def test_an_element_that_does_not_fit_into_a_picture_is_an_error():
    drawing = Drawing("small", "", "")
    with pytest.raises(ValueError, match="does not fit into the picture 'small'"):
        drawing.text(WIDTH - 20, 10, "a long text")
    with pytest.raises(ValueError, match="outside of the picture 'small'"):
        drawing.box(WIDTH - 20, 10, 30, 10)


def test_every_module_on_the_page_exists():
    named = re.findall(r":module:`([^`]+)`", PAGE.read_text(encoding="utf-8"))
    assert [name for name in named if name not in code.modules()] == []
    assert len(named) > 80


def test_every_path_on_the_page_exists():
    paths = re.findall(r"``((?:django_tasktree|tests|docs)/[^`]*|setup\.cfg)``", PAGE.read_text(encoding="utf-8"))
    assert paths
    assert [path for path in paths if not (documents.ROOT / path).exists()] == []


def test_every_package_has_a_layer():
    listed = [name for layer in code.layers() for name in layer]
    assert len(listed) == len(set(listed))
    assert {code.package_of(name) for name in code.modules()} == {*listed, *code.without_layer()}


def test_every_package_is_drawn_in_its_layer():
    drawn = names("layers")
    assert [*drawn] == [name for layer in code.layers() for name in layer]
    heights = [{drawn[name] for name in layer} for layer in code.layers()]
    assert [len(found) for found in heights] == [1] * len(heights)
    assert heights == sorted(heights, key=min)


def test_every_package_is_drawn_with_its_purpose():
    written = "".join(text for text, _ in texts("layers")).replace(" ", "")
    for name in drawn_packages():
        assert len(code.purpose(name)) > 15
        assert code.purpose(name).replace(" ", "")[:15] in written


def drawn_packages():
    return [name for layer in code.layers() for name in layer]


def test_imports_point_down():
    height = {name: index for index, layer in enumerate(code.layers()) for name in layer}
    imported = {name: code.packages_imported_by(name) for name in height}
    assert imported["engine"]
    assert [(name, other) for name in height for other in imported[name] if height[other] <= height[name]] == []


@pytest.mark.parametrize("name", code.forbidden())
def test_a_package_that_must_not_import_a_library_is_drawn_so(name):
    (badge,) = {text for text, _ in texts("layers") if text.startswith("must not import")}
    assert badge == f"must not import {', '.join(code.forbidden()[name])}"


def test_imports_for_type_checkers_are_not_counted():
    assert "worker.context" not in code.imports("dispatch.publisher")
    assert "dispatch.message" in code.imports("dispatch.publisher")


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.text)
def test_the_modules_of_a_step_call_each_other(step):
    assert [name for name in step.modules if name not in code.modules()] == []
    assert [(one, other) for one, other in pairwise(step.modules) if other not in code.imports(one)] == []


def test_every_step_is_drawn_with_its_module():
    written = [text for text, _ in texts("life")]
    modules = [text for text in written if text in code.modules()]
    assert modules == [step.modules[-1] for step in STEPS]
    assert [text for text in written if re.match(r"\d+\. ", text)][-1].startswith(f"{len(STEPS)}. ")


@pytest.mark.parametrize("model", rows.models(), ids=lambda model: model.__name__)
def test_every_column_of_a_model_is_drawn_in_its_box(model):
    x, y, width, _ = rows.PLACES[model.__name__]
    below = [top for left, top, wide, _ in rows.PLACES.values() if left == x and wide == width and top > y]
    below += [top for left, top, _ in [rows.MESSAGE] if left == x]
    inside = [
        element.text
        for element in elements("rows", "text")
        if x <= float(element.get("x")) < x + width and y < float(element.get("y")) < min(below, default=10_000)
    ]
    assert inside == [model.__name__, *(field.attname for field in model._meta.concrete_fields)]


def test_every_relation_is_drawn():
    arrows = [element for element in elements("rows", "path") if "head" in element.get("class")]
    related = [
        field
        for model in rows.models()
        for field in model._meta.concrete_fields
        if field.related_model in rows.models()
    ]
    assert len(arrows) == len(rows.relations()) == len(related)


def test_the_message_is_the_one_that_is_sent(app, monkeypatch):
    sent = {}
    monkeypatch.setattr(Task, "apply_async", lambda task, args, kwargs, **options: sent.update(options))
    ids: dict[str, Any] = {one.name: new_id() for one in fields(Dispatch) if "UUID" in str(one.type)}
    call: dict[str, Any] = {"task": tasks.purge.name, "args": "[1]", "kwargs": "{}", "options": "{}"}
    publish([Dispatch(**ids, **call, has_references=True, child_count=3, max_active=7, lane="x", label="y")])
    assert {*sent["headers"][HEADER]} == {part.entry for part in rows.header()}
    own = {part.entry: part.column for part in rows.of_celery()}
    for entry in ("root_id", "parent_id"):
        assert sent[entry] == str(ids[own[entry]])
    assert sent["task_id"] == str(ids[own["id"]])


def test_the_fields_of_messages_come_from_columns():
    columns = {field.attname for field in NodeRun._meta.concrete_fields}
    assert {part.column for part in [*rows.header(), *rows.of_celery()]} <= columns


@cache
def boxes(name):
    """Return left, top, right and bottom of each box in a picture of states; the frame's name is None."""
    rects = [
        (element, [float(element.get(key)) for key in ("x", "y", "width", "height")])
        for element in elements(name, "rect")
    ]
    found = {}
    states = iter(names(name))
    for element, (x, y, width, height) in rects:
        found[None if element.get("class") == "frame" else next(states)] = (x, y, x + width, y + height)
    return found


def touched(name, point):
    """Return the box whose edge contains a point."""
    x, y = point
    near = 0.2
    for state, (left, top, right, bottom) in boxes(name).items():
        inside = left - near <= x <= right + near and top - near <= y <= bottom + near
        if inside and min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom)) <= near:
            return state
    raise AssertionError(f"no box is at {point}")


def drawn_transitions(name, final):
    """Return the transitions that the arrows show, from the start of each to the tip of its head."""
    paths = [(element.get("class"), element.get("d")) for element in elements(name, "path")]
    found = set()
    for (_, line), (kind, head) in zip(paths[::2], paths[1::2], strict=True):
        assert kind.endswith(" head")
        source, target = (touched(name, tuple(map(float, path[1:].split()[:2]))) for path in (line, head))
        found |= {(state, target) for state in (final if source is None else [source])}
    return found


def test_the_transitions_of_nodes_are_those_of_the_table():
    transitions = {(str(source), str(target)) for source, targets in NODE_TRANSITIONS.items() for target in targets}
    assert drawn_transitions("node-states", set(map(str, NODE_FINAL))) == transitions


def test_the_transitions_of_runs_are_all_drawn():
    transitions = {
        (str(source), str(target)) for source, targets in machines.run_transitions().items() for target in targets
    }
    assert drawn_transitions("run-states", set(map(str, RUN_FINAL))) == {
        pair for pair in transitions if len(set(pair)) == 2
    }


def test_the_transitions_of_runs_are_those_of_the_table():
    assert machines.run_transitions() == RUN_TRANSITIONS


@pytest.mark.parametrize("name", sorted({transitions.module for transitions in machines.RUN_TRANSITIONS}))
def test_each_module_that_is_said_to_change_runs_writes_states(name):
    assert "engine.transitions" in code.imports(name)


def test_the_table_of_the_sweep_is_in_its_order():
    (steps,) = [
        value for value in vars(sweep).values() if isinstance(value, tuple) and value and all(map(callable, value))
    ]
    cells = [module for module, *_ in documents.table(PAGE, "sweep order")]
    named = [name for cell in cells for name in re.findall(r":module:`([^`]+)`", cell)[:1]]
    assert len(named) == len(cells)
    in_order = [name for index, name in enumerate(named) if index == 0 or name != named[index - 1]]
    made = [step.__module__.removeprefix(f"{code.PACKAGE}.") for step in steps]
    assert in_order == [name for index, name in enumerate(made) if index == 0 or name != made[index - 1]]
