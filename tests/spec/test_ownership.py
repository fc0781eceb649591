"""The tables of a cluster, compared with the machines that they were read from and with what was agreed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from statemachine.exceptions import TransitionNotAllowed

from tcrp.spec import cluster_names
from tcrp.spec.cluster_names import OWN_SENTENCES, OwnRule
from tcrp.spec.machine import ProtocolMachine
from tcrp.spec.ownership import LEASE, OWNERSHIP, LeaseMachine, OwnershipMachine
from tcrp.spec.table import Table

AGREED = {
    "lease": """
        free,lost claimed claiming
        claiming,renewing granted held
        claiming refused,ran_out free
        held renewal_sent renewing
        renewing refused lost
        held,renewing ran_out lost
        held,renewing released released
    """,
    "ownership": """
        unowned,orphaned wanted acquiring
        unowned,elsewhere named acquiring
        acquiring acquired owned
        unowned,acquiring,elsewhere,orphaned,owned,handing-over seen elsewhere
        elsewhere,acquiring,owned,handing-over orphaned orphaned
        owned handing_over handing-over
        acquiring,owned,elsewhere,orphaned,handing-over vacated unowned
    """,
}
WRITTEN: list[tuple[Table[Any, Any], type[ProtocolMachine]]] = [(LEASE, LeaseMachine), (OWNERSHIP, OwnershipMachine)]


@pytest.mark.parametrize("table", [LEASE, OWNERSHIP], ids=lambda table: str(table.machine))
def test_a_table_is_what_was_agreed(table: Table[Any, Any]) -> None:
    rows = {
        (state, event): to
        for line in AGREED[str(table.machine)].split("\n")
        if line.strip()
        for states, events, to in [line.split()]
        for state in states.split(",")
        for event in events.split(",")
    }
    assert {(str(state), str(event)): str(row.to) for (state, event), row in table.rows.items()} == rows


@pytest.mark.parametrize(("table", "written"), WRITTEN, ids=lambda each: getattr(each, "__name__", ""))
def test_machine_and_table_agree_in_every_cell(table: Table[Any, Any], written: type[ProtocolMachine]) -> None:
    for state in table.states:
        for event in table.events:
            machine = _in_state(written, state)
            if (row := table.rows.get((state, event))) is None:
                with pytest.raises(TransitionNotAllowed):
                    machine.send(str(event))
            else:
                machine.send(str(event))
                assert machine.current_state_value == row.to


def _in_state(written: type[ProtocolMachine], state: Any) -> Any:
    return written(start_value=state)


def test_every_rule_of_a_cluster_has_one_sentence_and_is_used() -> None:
    assert list(OWN_SENTENCES) == list(OwnRule)
    assert all(re.fullmatch(r"R-OWN-\d", rule) for rule in OwnRule)
    assert all(each[0].isupper() and each.endswith(".") and "  " not in each for each in OWN_SENTENCES.values())


def test_the_times_that_processes_rely_on_are_the_agreed_ones() -> None:
    assert (cluster_names.LEASE_LEAST_US, cluster_names.LEASE_US, cluster_names.LEASE_MOST_US) == (
        1_000_000, 5_000_000, 60_000_000,
    )  # fmt: skip
    assert (cluster_names.DRIFT_PARTS, cluster_names.SAVE_EVERY_US, cluster_names.WAITING_MAX) == (100, 1_000_000, 1024)
