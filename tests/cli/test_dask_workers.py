"""`chat-sim swarm --dask`: the findings of one process, on workers that die, come and are refused."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dask_cluster import Cluster, Faulty, other_sources
from tcrp.cli import dask_workers
from tcrp.cli.dask_workers import DaskWorkers
from tcrp.cli.identity import difference, identity
from tcrp.cli.sim import main
from tcrp.cli.swarm import Swarm, run_swarm
from tcrp.sim.swarm.generator import Knobs

RUNS = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("dask")) as cluster:
        for name in ("one", "two"):
            cluster.start_worker(name)
        for name in ("one", "two"):
            cluster.awaits_worker(name)
        yield cluster


def at_the_first_batch(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], *, is_taken: bool = True) -> None:
    """Do something once, in the middle of a swarm: when the first batch has ended, or when its result is here too."""
    take, done = DaskWorkers._result, list[bool]()

    def result(self: DaskWorkers, ended: Any) -> Any:
        is_first = not done
        done.append(True)
        if is_first and not is_taken:
            act()
        found = take(self, ended)
        if is_first and is_taken:
            act()
        return found

    monkeypatch.setattr(DaskWorkers, "_result", result)


def swarm(folder: Path, **where: Any) -> Swarm:
    return Swarm(
        RUNS, None, where.pop("jobs", 1), 7, folder / "bundles", Knobs(), (), Faulty, results=folder / "r.json", **where
    )


def findings(folder: Path) -> tuple[Any, dict[str, str]]:
    """What a swarm counted, and the scenarios of its bundles."""
    results = json.loads((folder / "r.json").read_text())
    counted = {key: value for key, value in results.items() if key not in ("seconds", "figures")}
    return counted, {str(each.relative_to(folder)): each.read_text() for each in folder.rglob("*.yaml")}


def test_a_swarm_finds_the_same_though_a_worker_dies_and_others_come(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tcrp.cli.swarm.BATCH", 5)  # so that there are enough of them for workers that come late
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    alone.mkdir()
    spread.mkdir()
    assert run_swarm(swarm(alone)) == 1
    odd = other_sources(tmp_path / "odd", "spec/tcrp/spec/dialects/text.toml")

    def change_workers() -> None:
        cluster.kill("one")
        cluster.start_worker("three")
        cluster.start_worker("odd", sources=odd)
        for name in ("three", "odd"):
            cluster.awaits_worker(name)

    at_the_first_batch(monkeypatch, change_workers, is_taken=False)  # it may be gone with its worker

    capsys.readouterr()
    assert run_swarm(swarm(spread, dask=cluster.address)) == 1
    shown = capsys.readouterr()
    assert findings(spread) == findings(alone)
    assert len(findings(spread)[0]["failures"]) > 1
    assert " s on 3 Dask workers: " in shown.out
    assert "chat-sim: worker odd (tcp://127.0.0.1:" in shown.err
    assert " is not used: it has other dialect files of tcrp " in shown.err
    assert "✗ seed " in shown.err
    cluster.kill("odd")


def test_ctrl_c_reports_what_was_done(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_the_first_batch(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGINT))
    bundles = str(tmp_path / "bundles")
    assert main(["swarm", "--for", "60s", "--dask", cluster.address, "--bundles", bundles]) == 130
    shown = capsys.readouterr()
    assert "20 scenarios from seed 0 in " in shown.out
    assert shown.out.endswith("✔ none of these failed\n")
    assert shown.err == "chat-sim: interrupted\n"


def test_without_a_worker_of_use_nothing_is_run(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dask_workers, "difference", lambda theirs, ours: difference(theirs, ("9.9", *ours[1:])))
    assert main(["swarm", "--runs", "20", "--dask", cluster.address]) == 2
    said = capsys.readouterr().err.splitlines()
    version = identity()[0]
    assert f"is not used: it has tcrp {version}, not 9.9" in said[0]
    assert said[-1] == f"chat-sim: --dask {cluster.address}: none of its workers has the tcrp of here"


def test_what_is_known_stays_when_workers_and_scheduler_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["swarm", "--runs", "100", "--bundles", str(tmp_path / "b"), "--dask"]
    monkeypatch.setattr(dask_workers, "FIRST_WORKER_SECONDS", 0)
    monkeypatch.setattr(dask_workers, "NEXT_WORKER_SECONDS", 0)
    with Cluster(tmp_path) as cluster:
        assert main([*run, cluster.address]) == 2
        assert (
            f"the scheduler has no worker; start one where this tcrp is installed: dask worker {cluster.address}"
            in (capsys.readouterr().err)
        )
        for goes, said in (("only", "has had no worker for 0 s; the rest was not run"), ("scheduler", " is gone")):
            cluster.start_worker("only")
            cluster.awaits_worker("only")
            with monkeypatch.context() as patch:
                at_the_first_batch(patch, lambda goes=goes: cluster.kill(goes))  # type: ignore[misc]
                assert main([*run, cluster.address]) == 2
            shown = capsys.readouterr()
            assert "20 scenarios from seed 0 in " in shown.out
            assert shown.out.endswith("✔ none of these failed\n")
            assert said in shown.err
            assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("here", "the address of a scheduler is HOST:PORT, such as 127.0.0.1:8786"),
        ("tcp://127.0.0.1:99999", "the address of a scheduler is HOST:PORT, such as 127.0.0.1:8786"),
        ("127.0.0.1:{free}", "there is no scheduler: Connection refused; start one: dask scheduler"),
        ("127.0.0.1:{silent}", "no answer within 0.2 s; is it a Dask scheduler?"),
    ],
)
def test_an_address_without_a_scheduler_is_refused_at_once(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dask_workers, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # taken, and nobody listens
        where = address.format(silent=silent.getsockname()[1], free=bound.getsockname()[1])
        assert main(["swarm", "--dask", where]) == 2
    assert capsys.readouterr().err == f"chat-sim: --dask {where}: {said}\n"


def test_a_workers_address_is_not_a_schedulers(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    where = cluster.address_of("two")
    assert main(["swarm", "--dask", where]) == 2
    said = f"--dask {where}: that is the address of a Dask worker; the scheduler's is needed"
    assert capsys.readouterr().err == f"chat-sim: {said}\n"


@pytest.mark.parametrize("other", [["--jobs", "2"], ["--coverage"]])
def test_what_concerns_processes_of_this_machine_does_not_go_with_dask(
    other: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["swarm", "--dask", "127.0.0.1:8786", *other]) == 2
    assert capsys.readouterr().err.startswith(f"chat-sim: {other[0]} is about processes of this machine")
