"""Each rule has the same result in all of its forms: Python, Django's Q, and SQL; on every database."""

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st

from django_tasktree.encoding.ids import new_id
from django_tasktree.engine import rules
from django_tasktree.engine.backends import backend
from django_tasktree.engine.backends.base import as_uuid
from django_tasktree.engine.conditions import ALWAYS, NEVER, All, Any_, Condition, Is
from django_tasktree.models import NodeRun, TreeRun
from django_tasktree.states import NODE_FAILED, Hold, NodeState, RunState, RunWhen

RULES = {name: rule for name, rule in vars(rules).items() if isinstance(rule, Condition) and rule != NEVER}
#: The columns that the rules refer to.
NAMES = [
    *("state", "run_when", "is_gather", "allow_failure", "hold", "runnable", "settled", "limit_scope_id", "parent_id"),
    "wait",
    *("run__state", "parent__state", "parent__hold"),
]
KEY = new_id()

NODE = st.fixed_dictionaries(
    {
        "state": st.sampled_from(NodeState),
        "run_when": st.sampled_from(RunWhen),
        "is_gather": st.booleans(),
        "allow_failure": st.booleans(),
        "hold": st.sampled_from(Hold),
        "runnable": st.booleans(),
        "settled": st.booleans(),
        "limit_scope_id": st.sampled_from([None, KEY]),
        "wait": st.sampled_from([None, "{}"]),
    }
)
#: Runs with their state and their nodes; each node has the number of its parent among the nodes before it.
RUNS = st.lists(
    st.tuples(st.sampled_from(RunState), st.lists(st.tuples(NODE, st.integers(0, 5)), min_size=1, max_size=6)),
    min_size=1,
    max_size=3,
)


def insert(shapes):
    """Insert runs and their nodes."""
    for state, nodes in shapes:
        run = TreeRun.objects.create(state=state)
        rows = []
        for number, (values, parent) in enumerate(nodes):
            above = rows[parent] if parent < number else None
            rows.append(NodeRun(run=run, parent=above, position=number, task="task", **values))
        NodeRun.objects.bulk_create(rows)


def keys_matched_by_sql(rule):
    """Return the IDs of the nodes that the SQL form of a rule matches."""
    condition = rule.sql(node="node", run="run", parent="parent")
    query = "SELECT node.id FROM {node} node JOIN {run} run ON run.id = node.run_id"
    query += f" LEFT JOIN {{node}} parent ON parent.id = node.parent_id WHERE {condition}"
    return {as_uuid(key) for (key,) in backend().rows(query)}


@hypothesis.settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@hypothesis.given(shapes=RUNS)
def test_all_forms_of_each_rule_agree(database, shapes):
    NodeRun.objects.all().delete()
    TreeRun.objects.all().delete()
    insert(shapes)
    rows = list(NodeRun.objects.select_related("run", "parent"))
    mappings = {row["id"]: row for row in NodeRun.objects.values("id", *NAMES)}
    for name, rule in RULES.items():
        by_row = {row.id for row in rows if rule.holds(row)}
        assert {key for key, row in mappings.items() if rule.holds(row)} == by_row, name
        assert {*NodeRun.objects.filter(rule.q()).values_list("id", flat=True)} == by_row, name
        assert {*NodeRun.objects.filter(pk__in=by_row).annotate(it=rule.value()).values_list("it", flat=True)} <= {True}
        assert keys_matched_by_sql(rule) == by_row, name
        for known in NAMES:
            left = {key for key, row in mappings.items() if rule.given(**{known: row[known]}).holds(row)}
            assert left == by_row, (name, known)


def test_a_rule_about_the_run_alone_can_filter_runs(database):
    for state in RunState:
        TreeRun.objects.create(state=state)
    (found,) = TreeRun.objects.filter(rules.RUN_LETS_START.q(of="run"))
    assert found.state == RunState.STARTED


def test_joined_conditions_are_simplified():
    one, two, three = Is("settled", True), Is("runnable", False), Is("is_gather", True)
    assert one & ALWAYS == one | NEVER == one
    assert one & NEVER == NEVER
    assert one | ALWAYS == ALWAYS
    assert one & two & three == All((one, two, three))
    assert (one | two) | three == Any_((one, two, three))
    assert (ALWAYS.sql(), NEVER.sql()) == ("TRUE", "FALSE")
    assert (one | two).given(settled=False) == two


@pytest.mark.parametrize("state", NodeState)
def test_the_outcome_of_a_node_decides_which_children_follow(state):
    """The expected values are those of docs/conditions.rst."""
    expected = {NodeState.SUCCESS: {"success", "always"}}.get(
        state, {"failure", "always"} if state in NODE_FAILED else set()
    )
    assert rules.FOLLOWING.get(state, frozenset()) == expected
    assert {when for when in RunWhen if rules.FITS.holds({"parent__state": state, "run_when": when})} == expected
