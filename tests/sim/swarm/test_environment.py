"""What a random scenario begins with can be: every setting is one that the server takes, and each is drawn."""

from __future__ import annotations

from collections import Counter

import pytest

from tcrp.sim.scenario.model import ORDINARY
from tcrp.sim.scenario.presets import PRESETS
from tcrp.sim.swarm.dice import Dice
from tcrp.sim.swarm.environment import (
    ADDRESSES,
    LINK_ROWS,
    LONG_NAMES,
    ROWS,
    Row,
    draw_changes,
    draw_limits,
    draw_link_settings,
)
from tcrp.spec.limits import NAME_BYTES_MAX, SETTINGS, Limits

SEEDS = range(2000)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_value_of_a_setting_is_one_that_the_server_takes(row: Row) -> None:
    for value in row.values:
        assert getattr(Limits().with_settings({row.name: value}), row.name) == value


def test_every_setting_is_drawn_as_often_as_its_row_says_and_no_other() -> None:
    defaults, drawn = Limits(), Counter[str]()
    for seed in SEEDS:
        limits = draw_limits(Dice(seed), has_passwords=False)
        drawn.update(name for name in SETTINGS if getattr(limits, name) != getattr(defaults, name))
    for row in ROWS:
        others = sum(value != getattr(defaults, row.name) for value in row.values) / len(row.values)
        assert drawn.pop(row.name) / len(SEEDS) == pytest.approx(row.percent / 100 * others, abs=0.05), row.name
    assert drawn == {}


def test_with_passwords_there_is_mostly_one_try() -> None:
    tries = Counter(draw_limits(Dice(seed), has_passwords=True).password_tries_max for seed in SEEDS)
    assert 0.65 < tries[1] / len(SEEDS) < 0.8


def test_one_to_three_settings_change_and_may_go_back_to_the_default() -> None:
    changes = [draw_changes(Dice(seed)) for seed in SEEDS]
    assert {len(each) for each in changes} == {1, 2, 3}
    assert all(len(dict(each)) == len(each) for each in changes)
    seen = {pair for each in changes for pair in each}
    assert seen == {(row.name, value) for row in ROWS for value in (*row.values, getattr(Limits(), row.name))}


def test_each_kind_of_trouble_of_links_is_drawn_and_some_links_are_presets() -> None:
    drawn = [draw_link_settings(Dice(seed)) for seed in SEEDS]
    presets = [ORDINARY.patched(preset) for preset in PRESETS.values()]
    assert all(preset in drawn for preset in presets)
    assert 0.2 < sum(each in presets for each in drawn) / len(drawn) < 0.35
    for _, change in LINK_ROWS:
        changed = change(Dice(1), ORDINARY)
        field = next(name for name in ORDINARY.__struct_fields__ if getattr(changed, name) != getattr(ORDINARY, name))
        assert any(getattr(each, field) != getattr(ORDINARY, field) for each in drawn), field


def test_one_seed_draws_one_environment() -> None:
    for seed in range(20):
        assert draw_limits(Dice(seed), has_passwords=True) == draw_limits(Dice(seed), has_passwords=True)
        assert draw_link_settings(Dice(seed)) == draw_link_settings(Dice(seed))


def test_long_names_are_at_the_limit_and_pools_have_several_addresses() -> None:
    assert max(len(each.encode()) for each in LONG_NAMES) == NAME_BYTES_MAX
    assert all(len(set(pool)) == len(pool) > 1 for pool in ADDRESSES)
