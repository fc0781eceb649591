"""Captures of runs, and what tshark reads in them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from system_tools import required
from tcrp.cli.sources import play_for_a_look
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.view.pcapng import write_pcapng

CHECKSUMS = tuple(word for layer in ("ip", "udp", "tcp") for word in ("-o", f"{layer}.check_checksum:TRUE"))


def capture(scenario: str, folder: Path, *, with_bytes: bool = True) -> Path:
    """The capture of a scenario's run."""
    played = play_for_a_look(read_scenario_text(scenario, "test.yaml"), None, keeps_payloads=with_bytes)
    path = folder / "run.pcapng"
    with path.open("wb") as file:
        write_pcapng(played.header, played.records, file, played.payloads if with_bytes else None)
    return path


def tshark(capture: Path, *words: str) -> list[str]:
    """The lines that tshark prints about a capture, checksums verified; numbers for names without `-N`."""
    command = [required("tshark"), "-r", str(capture), *CHECKSUMS, *words, *(() if "-N" in words else ("-n",))]
    ran = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Lua:" not in ran.stderr, ran.stderr  # an error in a dissector, which tshark itself does not mind
    return ran.stdout.splitlines()


def fields(capture: Path, *names: str, where: str = "", options: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """These fields of each packet that the display filter `where` lets through."""
    words = [word for name in names for word in ("-e", name)]
    lines = tshark(
        capture, *options, "-Y", where, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=\x1f", *words
    )
    return [tuple(line.split("\t")) for line in lines]
