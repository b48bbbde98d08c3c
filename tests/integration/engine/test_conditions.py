"""Every row of the tables of final states in docs/conditions.rst, on each database and on a real worker."""

import pytest

from tests import documents
from tests.integration.engine.one_node_cases import ONE_NODE
from tests.integration.engine.several_nodes_cases import SEVERAL
from tests.patience import PATIENCE

PAGE = documents.DOCS / "conditions.rst"


CASES = pytest.mark.parametrize("case", [*ONE_NODE, *SEVERAL], ids=lambda case: case.description)


@CASES
def test_the_final_states_are_those_of_the_table(case, database, eager):
    assert case.run(lambda result: result.wait(0)) == case.row[1:]


@pytest.mark.worker
@pytest.mark.parametrize("stack", ["postgresql-redis"], indirect=True)
@CASES
def test_the_final_states_on_a_worker_are_those_of_the_table(case, stack):
    assert case.run(lambda result: result.wait(PATIENCE)) == case.row[1:]


@pytest.mark.parametrize(("marker", "cases"), [("one node", ONE_NODE), ("several nodes", SEVERAL)])
def test_the_documented_table_has_these_cases(marker, cases):
    assert documents.table(PAGE, marker) == [case.row for case in cases]
