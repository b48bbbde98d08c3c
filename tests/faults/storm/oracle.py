"""The rules for a run after a storm, checked with the lines that the task functions have written.

The rows are used only for the current attempt and the final state of each node.
"""

import json
from collections import defaultdict
from dataclasses import dataclass

from tests.faults.storm.planned import STARTS_A_RUN, WITHOUT_LINES, expected
from tests.sample.storm_tasks import ITEMS


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


def violations(run, rows, lines, effects, inner, answers):
    """Find the violations of the rules in a run that has ended.

    Args:
        run: its plan.
        rows: its rows.
        lines: the lines of its nodes, by node.
        effects: how many rows ``atomic`` tasks have written, by node.
        inner: the rows of its sub-runs.
        answers: the tokens of the answers that wait nodes may have got.

    Yields:
        A sentence for each violation.
    """
    rules = _Checks(run, rows, lines, effects, inner, answers)
    checks = [
        rules.each_attempt_started_once,
        rules.order,
        rules.gathers_waited,
        rules.results,
        rules.answers_were_taken_once,
        rules.effects,
    ]
    if not run.controlled:
        checks += [rules.final_states, rules.nothing_ran_twice_that_must_not, rules.growth, rules.sub_runs]
    for check in checks:
        yield from (f"{run.key}: {sentence}" for sentence in check())


class _Checks:
    def __init__(self, run, rows, lines, effects, inner, answers):
        self.run, self.rows, self.inner, self.answers = run, rows, inner, answers
        self.by_id = {row.id: row for row in rows}
        self.counts = effects
        self.lines = {row.id: sorted(lines.get(str(row.id), ()), key=lambda line: line.at) for row in [*rows, *inner]}
        self.labelled = {row.label: row for row in rows if row.label not in ("grown", "added")}

    def each_attempt_started_once(self):
        for row in [*self.rows, *self.inner]:
            attempts = [line.attempt for line in self.lines[row.id] if line.what == "start"]
            if len(attempts) != len(set(attempts)):
                yield f"an attempt at {row.label} started twice: {attempts}"

    def order(self):
        for row in self.rows:
            starts = self._of(row, "start")
            if not starts:
                continue
            parent = self.by_id.get(row.parent_id)
            if parent is not None and self._has_lines(parent):
                ends = self._of(parent, "end")
                if not ends or ends[0].at > starts[0].at:
                    yield f"{row.label} started before its parent had ended"

    def _has_lines(self, row):
        """Return whether the task function of a node that has ended must have written lines."""
        completed = row.state == "SUCCESS" and self._was_completed(row)
        return not completed and not self._was_lost(row) and row.kind not in WITHOUT_LINES

    def gathers_waited(self):
        """Check that each gather node of a run that was not controlled started after the nodes that it waits for."""
        for row in self.rows:
            starts = self._of(row, "start")
            if not row.is_gather or row.quorum or not starts or self.run.controlled:
                continue
            for below in self._below(row.parent_id):
                ends = [line for line in self._of(below, "end") if line.attempt.startswith(str(below.task_id))]
                has_run = below.state in ("SUCCESS", "FAILURE") and not self._was_lost(below)
                if below.kind in STARTS_A_RUN:
                    ends = sorted(self._ends_of_sub_runs(below), key=lambda line: line.at)
                elif below.kind in WITHOUT_LINES:
                    continue
                if has_run and (not ends or ends[-1].at > starts[0].at):
                    yield f"{row.label} started before {below.label} had ended"

    def _ends_of_sub_runs(self, row):
        return [line for other in self.inner if other.started_by == row.id for line in self._of(other, "end")]

    def sub_runs(self):
        """Check that each node that has started a run has started one, with the same outcome."""
        for row in self.rows:
            states = {other.run_id: other.run_state for other in self.inner if other.started_by == row.id}
            has_run = row.kind in STARTS_A_RUN and row.state in ("SUCCESS", "FAILURE")
            if list(states.values()) != [row.state] * has_run:
                yield f"{row.label} ({row.kind}) is {row.state}, and its sub-runs are {states}"

    def answers_were_taken_once(self):
        tokens = [row.token for row in [*self.rows, *self.inner] if row.kind == "waits" and row.token is not None]
        if len(tokens) != len(set(tokens)):
            yield f"an answer was taken by two nodes: {sorted(tokens)}"

    def results(self):
        for row in self.rows:
            if row.state == "SUCCESS" and not self._was_completed(row) and not self._has_right_result(row):
                yield f"{row.label} ({row.kind}) has the result of {row.token}"
            for line in self._of(row, "start"):
                wrong = self._unknown(line.given)
                if wrong:
                    yield f"{row.label} was given results that no attempt returned: {wrong}"
        if not self.run.controlled:
            yield from self._passed_on()

    def _has_right_result(self, row):
        if row.kind == "waits":
            return row.token in self.answers
        if row.kind in STARTS_A_RUN:
            return row.token in {line.attempt for line in self._ends_of_sub_runs(row)}
        if row.kind in ("sleeps", "maps"):
            return row.value == (len(ITEMS) if row.kind == "maps" else None)
        ended = {line.attempt for line in self._of(row, "end")}
        return row.token in ended and row.token.startswith(str(row.task_id))

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
            row = self.labelled.get(label)
            if row is None:
                # The items of a map that has not run are not in the database.
                if state != "PENDING":
                    yield f"{label} is missing, and should be {state}"
                continue
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
            items = [below for below in self.rows if below.parent_id == row.id and not below.is_gather]
            if row.kind == "maps" and row.state == "SUCCESS" and len(items) != len(ITEMS):
                yield f"{row.label} has {len(items)} items"

    def _passed_on(self):
        for row in self.rows:
            starts = self._of(row, "start")
            if not starts or starts[-1].given is None:
                continue
            if row.is_gather:
                siblings = [other for other in self.rows if other.parent_id == row.parent_id and not other.is_gather]
                right = sorted(
                    other.token for other in siblings if other.state == "SUCCESS" and other.token is not None
                )
            else:
                right = self.by_id[row.parent_id].token
            given = starts[-1].given
            if not (set(given) <= set(right) if row.quorum else given == right):
                yield f"{row.label} was given {starts[-1].given}, and not {right}"

    def _of(self, row, what):
        return [line for line in self.lines[row.id] if line.what == what]

    def _was_lost(self, row):
        return row.error_type.endswith("WorkerLostError")

    def _unknown(self, given):
        known = {line.attempt for lines in self.lines.values() for line in lines if line.what == "end"} | self.answers
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
