"""Tests mirror the tree: each module has its test file, or a line here says which other tests it, or why none does.

`engine/tcrp/net/udp.py` is tested by `tests/net/test_udp.py`. A module that gets a test file leaves these lists.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SOURCE_ROOTS = ("spec", "engine", "sim", "cli")

WITHOUT_CODE = {
    "judge/ground": "protocols of classes, which cli's and the tests' grounds fulfil",
    "judge/client_ground": "protocols of classes, likewise",
    "judge/probe": "two types without methods, of which every probe is made",
    "cluster/outputs": "types without methods, which a node puts out",
}
TESTED_TOGETHER = {
    # A machine, its names and its table are compared with what was agreed.
    "spec/test_table": "spec/handshake spec/machine spec/names spec/room spec/session",
    "spec/test_ownership": "spec/cluster_names",
    # The words of a file of dialect, read through what reads the file.
    "spec/test_dialects": "spec/dialect_file spec/dialect_keys",
    "tools/test_generated": "spec/field_forms",
    "engine/test_codec": "engine/meanings",
    "trace/test_reader": "trace/lines",
    # The two ends of an operator's socket.
    "cli/test_control": "net/control",
    "net/test_listeners": "net/ports",
    # Ways to search the same models, which have to find the same.
    "explore/test_search": "explore/arrays explore/checkpoint explore/depth explore/fingerprints explore/model",
    # Parts of one world, each of whose steps is compared with a step of the simulator.
    "interleavings/test_timed_runs": "interleavings/client_part interleavings/moments interleavings/parts "
    "interleavings/program interleavings/server_part interleavings/steps",
    "interleavings/test_world": "interleavings/known_moves interleavings/world_model",
    "interleavings/test_counterexample": "interleavings/exploration interleavings/timing",
    "interleavings/test_tla": "interleavings/small_world",
    # Parts of the simulation of a cluster: what goes wrong in one shows in the others.
    "sim/cluster/test_cluster": "sim/cluster/bucket sim/cluster/bucket_client sim/cluster/checks sim/cluster/node "
    "sim/cluster/watched",
    "sim/hosts/test_hosts": "sim/hosts/server sim/hosts/user",
    # The reference server, written from the rules alone, is compared with the engine as a whole.
    "sim/reference/test_against_the_engine": "sim/reference/state",
    # Words of the scenario format, read and written through the grammar that they are declared in.
    "sim/scenario/test_reader": "sim/scenario/cast sim/scenario/errors sim/scenario/expectations sim/scenario/explore "
    "sim/scenario/links sim/scenario/listeners sim/scenario/nodes sim/scenario/settings "
    "sim/scenario/steps",
    "sim/scenario/test_grammar": "sim/scenario/kinds sim/scenario/model sim/scenario/records sim/scenario/verbs",
    # What draws random scenarios is judged by what it draws.
    "sim/swarm/test_swarm": "sim/swarm/actions sim/swarm/batch sim/swarm/failures sim/swarm/generator "
    "sim/swarm/listeners sim/swarm/requests sim/swarm/shrink sim/swarm/sometimes",
    "sim/test_pytest_plugin": "sim/strategies",
    # Forms of one picture.
    "view/test_html": "view/about view/machines",
    "view/test_svg": "view/mermaid view/text",
    "cli/test_report_folder": "view/report",
    # A full screen is tested by its keys.
    "cli/test_step": "cli/step_app",
}


def sources() -> dict[str, Path]:
    """Every module, by its place: `net/udp`."""
    return {
        path.relative_to(ROOT / root / "tcrp").with_suffix("").as_posix(): path
        for root in SOURCE_ROOTS
        for path in (ROOT / root / "tcrp").rglob("*.py")
        if path.name != "__init__.py"
    }


def own_test(module: str) -> Path:
    folder, _, name = module.rpartition("/")
    return TESTS / folder / f"test_{name}.py"


TOGETHER = {module: test for test, modules in TESTED_TOGETHER.items() for module in modules.split()}
MODULES = sources()


def test_each_module_has_its_tests_or_a_reason() -> None:
    missing = [module for module in MODULES if not own_test(module).exists()]
    assert len(MODULES) > 200
    unexplained = sorted(set(missing) - TOGETHER.keys() - WITHOUT_CODE.keys())
    assert unexplained == [], f"{[own_test(each).relative_to(ROOT).as_posix() for each in unexplained]}"


@pytest.mark.parametrize("module", sorted({*TOGETHER, *WITHOUT_CODE}))
def test_an_exception_is_of_a_module_that_exists_and_has_no_test_file(module: str) -> None:
    assert module in MODULES
    assert not own_test(module).exists(), "it has tests of its own now: take it off the list"


@pytest.mark.parametrize("test", sorted(TESTED_TOGETHER))
def test_a_test_of_several_modules_loads_them(test: str) -> None:
    loaded = reached(TESTS / f"{test}.py")
    assert [module for module in TESTED_TOGETHER[test].split() if module not in loaded] == []


@pytest.mark.parametrize("module", sorted(WITHOUT_CODE))
def test_a_module_that_needs_no_tests_decides_nothing(module: str) -> None:
    nodes = ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    assert not any(isinstance(node, ast.If | ast.For | ast.While | ast.Match | ast.Try) for node in nodes)


def reached(start: Path) -> set[str]:
    """The modules that a file loads, also by those that it loads."""
    found: set[str] = set()
    waiting = list(imported(start))
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found.add(module)
        helper = TESTS / f"{module}.py"
        if (path := MODULES.get(module) or (helper if helper.exists() else None)) is not None:
            waiting += imported(path)
    return found


@cache
def imported(path: Path) -> frozenset[str]:
    """What a file imports, by its place in the tree; a helper of the tests by its place in theirs."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
    return frozenset(name.removeprefix("tcrp.").replace(".", "/") for name in names)
