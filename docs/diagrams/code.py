"""Read the structure of the package from its files: layers, modules, their purpose and their imports."""

import ast
import configparser
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = "django_tasktree"


def _contract(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser[f"importlinter:contract:{name}"]


def layers() -> list[list[str]]:
    """Return the layers in ``setup.cfg``, highest first, each as a list of packages and modules."""
    return [[name.strip() for name in line.split("|")] for line in _contract("layers")["layers"].split("\n") if line]


def without_layer() -> set[str]:
    """Return the packages that belong to no layer."""
    return set(_contract("layers")["exhaustive_ignores"].split())


def forbidden() -> dict[str, list[str]]:
    """Return the libraries that packages must not import, by package."""
    contract = _contract("engine-knows-no-celery")
    libraries = [name for name in contract["forbidden_modules"].split() if not name.startswith(f"{PACKAGE}.")]
    return {_short(name): libraries for name in contract["source_modules"].split()}


@cache
def modules() -> dict[str, Path]:
    """Return the files of all packages and modules, by name without ``django_tasktree.``."""
    top = ROOT / PACKAGE
    found = {}
    for path in sorted(top.rglob("*.py")):
        parts = path.relative_to(top).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


@cache
def _tree(name: str) -> ast.Module:
    if name not in modules():
        raise ValueError(f"{PACKAGE} has no module {name!r}: correct the layers in setup.cfg, or what names it")
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def purpose(name: str) -> str:
    """Return the first paragraph of a module's docstring, without markup."""
    text = ast.get_docstring(_tree(name)) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("``", "")


def imports(name: str) -> set[str]:
    """Return the modules of the package that a module imports, also inside functions, but not those only for types."""
    return {found for imported in _imported(_tree(name)) if (found := _short(imported)) in modules()}


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        yield from (name for other in node.orelse for name in _imported(other))
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        # The name is a module, or is defined in one.
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name if _short(name) in modules() else node.module for name in names)
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def _short(name: str) -> str:
    return name.removeprefix(f"{PACKAGE}.")


def package_of(name: str) -> str:
    """Return the package or top-level module, as in a layer, to which a module belongs."""
    return name.split(".")[0]


def packages_imported_by(package: str) -> list[str]:
    """Return the other packages that a package imports, in the order of the layers."""
    inside = [name for name in modules() if package_of(name) == package]
    found = {package_of(imported) for name in inside for imported in imports(name)} - {package}
    return [name for layer in layers() for name in layer if name in found]
