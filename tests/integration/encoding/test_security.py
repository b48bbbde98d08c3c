"""The content of rows and requests never decides what is unpickled, imported or called."""

import base64
import pickle
import sys

import pytest

from django_tasktree import TaskTree
from django_tasktree.definitions.launch import launch_definition
from django_tasktree.encoding.errors import rebuild
from django_tasktree.encoding.node_error import NodeError
from django_tasktree.exceptions import NodeFailed, SerializationError, UnknownDefinition, UnknownTask
from django_tasktree.models import NodeRun
from tests import simulation
from tests.sample.tasks import echo


class Bomb:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return open, (self._path, "w")


def bomb(path):
    return "pickle:" + base64.b64encode(pickle.dumps(Bomb(path))).decode()


@pytest.fixture
def world(database, app):
    with simulation.simulated(app, "security") as world:
        world.start_worker("w")
        yield world


def test_a_forged_result_is_not_unpickled(database, eager, tmp_path):
    tree = TaskTree()
    tree.add_task(echo, [1])
    handle = tree.apply_async().children[0]
    NodeRun.objects.filter(id=handle.id).update(result=bomb(tmp_path / "boom"))
    with pytest.raises(SerializationError, match="does not accept"):
        type(handle)(handle.id).get()
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("column", ["args", "kwargs", "options"])
def test_forged_arguments_are_not_unpickled(world, tmp_path, column):
    tree = TaskTree()
    tree.add_task(echo, [1]).add_task(echo, [2])
    result = tree.apply_async()
    below = NodeRun.objects.filter(parent__isnull=False)
    below.update(**{column: bomb(tmp_path / "boom")})
    world.deliver_all("w")
    assert not (tmp_path / "boom").exists()
    assert below.get().state == "FAILURE"
    assert result.state == "FAILURE"


def test_a_forged_error_is_not_unpickled(tmp_path):
    """The error is still shown by its texts, without its arguments."""
    error = rebuild(NodeError("builtins.ValueError", "no", args=bomb(tmp_path / "boom")))
    assert type(error) is NodeFailed
    assert str(error) == "builtins.ValueError: no"
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("name", ["antigravity.Error", "this.Error", "os.system", "builtins.eval", "subprocess.Popen"])
def test_the_type_of_an_error_imports_and_calls_nothing(name, tmp_path):
    """An import of the Zen of Python would print it."""
    sys.modules.pop("this", None)
    error = rebuild(NodeError(name, f"touch {tmp_path}/boom", args=f'["touch {tmp_path}/boom"]'))
    assert type(error) is NodeFailed
    assert "this" not in sys.modules
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("name", ["os.system", "tests.sample.tasks.echo", "../../etc/passwd", "antigravity"])
def test_only_registered_definitions_are_launched(database, name):
    with pytest.raises(UnknownDefinition):
        launch_definition(name, {})


@pytest.mark.parametrize("name", ["this", "os.system", "this.task"])
def test_a_task_name_is_looked_up_and_not_imported(name):
    sys.modules.pop("this", None)
    with pytest.raises(UnknownTask):
        TaskTree().add_task(name)
    assert "this" not in sys.modules


def test_the_launch_form_accepts_only_registered_names(database, admin_client):
    for name in ("os.system", "this"):
        answer = admin_client.get(f"/admin/django_tasktree/treerun/launch/?definition={name}")
        assert answer.status_code in (200, 302, 400, 404)
    assert "this" not in sys.modules
