"""The rules for a run after a storm, checked with the lines that the task functions have written.

The rows are used only for the current attempt and the final state of each node.
"""

import json
from collections import defaultdict
from dataclasses import dataclass

from tests.faults.storm.planned import expected


@dataclass(frozen=True)
class Line:
    """A line that a task function has written.

    Attributes:
        what: ``"start"`` or ``"end"``.
        node: its node.
        attempt: the task ID and the number of the retry.
        at: a time of the machine's clock, in seconds.
        given: the tokens of the results that it received.
    """

    what: str
    node: str
    attempt: str
    at: float
    given: object = None


def read(path):
    """Return the lines by node."""
    lines = defaultdict(list)
    for text in path.read_text().splitlines():
        line = Line(*json.loads(text))
        lines[line.node].append(line)
    return lines


def violations(run, rows, lines, effects):
    """Find the violations of the rules in a run that has ended.

    Args:
        run: its plan.
        rows: its rows.
        lines: the lines of its nodes, by node.
        effects: how many rows ``atomic`` tasks have written, by node.

    Yields:
        A sentence for each violation.
    """
    rules = _Checks(run, rows, lines, effects)
    checks = [
        rules.each_attempt_started_once,
        rules.order,
        rules.gathers_waited,
        rules.results,
        rules.effects,
    ]
    if not run.controlled:
        checks += [rules.final_states, rules.nothing_ran_twice_that_must_not, rules.growth]
    for check in checks:
        yield from (f"{run.key}: {sentence}" for sentence in check())


class _Checks:
    def __init__(self, run, rows, lines, effects):
        self.run, self.rows = run, rows
        self.by_id = {row.id: row for row in rows}
        self.counts = effects
        self.lines = {row.id: sorted(lines.get(str(row.id), ()), key=lambda line: line.at) for row in rows}
        self.labelled = {row.label: row for row in rows if row.label not in ("grown", "added")}

    def each_attempt_started_once(self):
        for row in self.rows:
            attempts = [line.attempt for line in self.lines[row.id] if line.what == "start"]
            if len(attempts) != len(set(attempts)):
                yield f"an attempt at {row.label} started twice: {attempts}"

    def order(self):
        for row in self.rows:
            starts = self._of(row, "start")
            if not starts:
                continue
            if row.parent_id is not None and not self._was_lost(self.by_id[row.parent_id]):
                ends = self._of(self.by_id[row.parent_id], "end")
                if not ends or ends[0].at > starts[0].at:
                    yield f"{row.label} started before its parent had ended"

    def gathers_waited(self):
        """Check that each gather node of a run that was not controlled started after the nodes that it waits for."""
        for row in self.rows:
            starts = self._of(row, "start")
            if not row.is_gather or not starts or self.run.controlled:
                continue
            for below in self._below(row.parent_id):
                ends = [line for line in self._of(below, "end") if line.attempt.startswith(str(below.task_id))]
                has_run = below.state in ("SUCCESS", "FAILURE") and not self._was_lost(below)
                if has_run and (not ends or ends[-1].at > starts[0].at):
                    yield f"{row.label} started before {below.label} had ended"

    def results(self):
        for row in self.rows:
            ended = {line.attempt for line in self._of(row, "end")}
            if (
                row.state == "SUCCESS"
                and not self._was_completed(row)
                and not (row.token in ended and row.token.startswith(str(row.task_id)))
            ):
                yield f"{row.label} has the result of {row.token}, and these have ended: {sorted(ended)}"
            for line in self._of(row, "start"):
                wrong = self._unknown(line.given)
                if wrong:
                    yield f"{row.label} was given results that no attempt returned: {wrong}"
        if not self.run.controlled:
            yield from self._passed_on()

    def _was_completed(self, row):
        """Return whether an action may have completed the node; it gives the node no result."""
        return self.run.controlled and row.token is None

    def effects(self):
        for row in self.rows:
            expected_number = int(row.kind == "atomic" and row.state == "SUCCESS" and not self._was_completed(row))
            if self.counts.get(row.id, 0) != expected_number and not self.run.controlled:
                yield f"{row.label} ({row.state}) has written {self.counts.get(row.id, 0)} times"
            elif self.counts.get(row.id, 0) < expected_number:
                yield f"{row.label} has succeeded, and its row is missing"

    def final_states(self):
        states = expected(self.run, self.labelled)
        for label, state in states.items():
            row = self.labelled[label]
            if row.state != state:
                yield f"{label} ({row.kind}) is {row.state}, and should be {state}: {row.error_message[:200]}"
            if row.state == "SKIPPED" and self.lines[row.id]:
                yield f"{label} was skipped, but its task function has run"

    def nothing_ran_twice_that_must_not(self):
        for row in self.rows:
            if row.kind == "once" and len(self._of(row, "start")) > 1:
                yield f"{row.label} must not run twice, and has started {len(self._of(row, 'start'))} times"

    def growth(self):
        for row in self.rows:
            grown = [below for below in self.rows if below.parent_id == row.id and below.label == "grown"]
            if len(grown) != 2 * (row.kind == "grows" and row.state == "SUCCESS"):
                yield f"{row.label} has grown by {len(grown)} nodes"

    def _passed_on(self):
        for row in self.rows:
            starts = self._of(row, "start")
            if not starts or starts[-1].given is None:
                continue
            if row.is_gather:
                siblings = [other for other in self.rows if other.parent_id == row.parent_id and not other.is_gather]
                right = sorted(other.token for other in siblings if other.state == "SUCCESS")
            else:
                right = self.by_id[row.parent_id].token
            if starts[-1].given != right:
                yield f"{row.label} was given {starts[-1].given}, and not {right}"

    def _of(self, row, what):
        return [line for line in self.lines[row.id] if line.what == what]

    def _was_lost(self, row):
        return row.error_type.endswith("WorkerLostError")

    def _unknown(self, given):
        known = {line.attempt for lines in self.lines.values() for line in lines if line.what == "end"}
        return [token for token in ([given] if isinstance(given, str) else given or ()) if token not in known]

    def _below(self, parent_id):
        """Yield the nodes that a gather node waits for: those below its parent, without those below gather nodes."""
        for row in self.rows:
            if row.parent_id == parent_id and not row.is_gather:
                yield row
                yield from self._whole_subtree(row)

    def _whole_subtree(self, top):
        stack = [top.id]
        while stack:
            key = stack.pop()
            for row in self.rows:
                if row.parent_id == key:
                    stack.append(row.id)
                    yield row
