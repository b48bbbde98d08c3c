"""The Sphinx directives ``picture``, ``packages``, ``steps``, ``run-transitions``, ``fields``; the role ``module``."""

from collections.abc import Iterable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from django_tasktree.states import RunState
from docs.diagrams import code, fields, life, machines
from docs.diagrams.pictures import PICTURES


class Picture(SphinxDirective):
    """The directive ``.. picture:: layers``: a diagram, by its name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Draw the diagram. The page is read again in each build, because the code may have changed."""
        self.env.note_reread()
        return [nodes.raw("", PICTURES[self.arguments[0]]().svg(), format="html")]


class Table(SphinxDirective):
    """A table that is generated from the code."""

    head: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return the rows, with cells in reStructuredText."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Return the table, parsed from reStructuredText."""
        self.env.note_reread()
        lines = [".. list-table::", "    :header-rows: 1", f"    :widths: {' '.join(map(str, self.widths))}", ""]
        for row in (self.head, *self.rows()):
            lines += [f"    {'* -' if index == 0 else '  -'} {cell}".rstrip() for index, cell in enumerate(row)]
        return self.parse_text_to_nodes("\n".join(lines))


class Packages(Table):
    """A table of the imports of each package, and of those that are forbidden."""

    head = ("Package", "Imports", "Must not import, nor anything above it")
    widths = (14, 48, 38)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return a row for each package, highest layer first."""
        for layer in code.layers():
            for name in layer:
                beside = [other for other in layer if other != name]
                yield (
                    _codes([name]),
                    _codes(code.packages_imported_by(name)),
                    _codes(beside + code.forbidden().get(name, [])),
                )


class Steps(Table):
    """A table of the steps in the life of a node, with the modules that perform them and their callers."""

    head = ("Step", "Modules, each called by the one before")
    widths = (42, 58)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return a row for each step."""
        steps = [step for step in life.STEPS if isinstance(step, life.Step)]
        for number, step in enumerate(steps, 1):
            yield f"{number}. {step.text}", " → ".join(f"``{name}``" for name in step.modules)


class RunTransitions(Table):
    """A table of the transitions of runs, with the modules that perform them."""

    head = ("When", "From", "To", "Module")
    widths = (34, 22, 22, 22)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return a row for each kind of transition."""
        for transitions in machines.RUN_TRANSITIONS:
            yield (
                transitions.text,
                _states(transitions.sources),
                _states(transitions.targets),
                f"``{transitions.module}``",
            )


class Fields(Table):
    """The directive ``.. fields:: NodeRun``: a table of the fields of a model, and of its other attributes."""

    required_arguments = 1
    head = ("Attribute", "Type", "Meaning")
    widths = (18, 20, 62)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return a row for each field, each relation from another model, and each property."""
        model = fields.MODELS[self.arguments[0]]
        for attribute in fields.attributes(model):
            yield f"``{attribute.name}``", attribute.type, attribute.text


class Module(SphinxRole):
    """The role for a package or module of this app. The build fails if it does not exist."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the name as a literal."""
        if self.text not in code.modules():
            message = self.inliner.reporter.error(f"django_tasktree has no module {self.text!r}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        return [nodes.literal(self.rawtext, self.text)], []


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"``{name}``" for name in names)


def _states(states: Iterable[str]) -> str:
    return _codes(state for state in RunState if state in states)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives and the role with Sphinx."""
    app.add_directive("picture", Picture)
    app.add_directive("packages", Packages)
    app.add_directive("steps", Steps)
    app.add_directive("run-transitions", RunTransitions)
    app.add_directive("fields", Fields)
    app.add_role("module", Module())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
