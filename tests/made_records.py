"""Records of traces, made by hand: what a test does not say of one is as it mostly is."""

from __future__ import annotations

from typing import Any, Final

from tcrp.spec.names import Machine
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, RefusalRecord, ShowRecord, StepRecord, TimerRecord

HEAD: Final = {"actor": "server", "cause": 0, "n": 1, "t_us": 0}


def step(**fields: Any) -> StepRecord:
    return StepRecord(**{**HEAD, "instance": 1, "machine": Machine.SESSION, **fields})


def refusal(**fields: Any) -> RefusalRecord:
    return RefusalRecord(**{**HEAD, "machine": Machine.SESSION, "why": "", **fields})


def packet(**fields: Any) -> PacketRecord:
    return PacketRecord(**{**HEAD, "bytes": 0, "kind": Kind.SEND, "packet": "", "proto": "udp", **fields})


def timer(**fields: Any) -> TimerRecord:
    return TimerRecord(**{**HEAD, **fields})


def fault(**fields: Any) -> FaultRecord:
    return FaultRecord(**{**HEAD, "why": "", **fields})


def show(**fields: Any) -> ShowRecord:
    return ShowRecord(**{**HEAD, "name": "", "text": "", **fields})
