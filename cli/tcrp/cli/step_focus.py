"""Whose machines `chat-sim step` shows: those of the user and the room that a record is about."""

from __future__ import annotations

import re

from tcrp.spec.names import Machine
from tcrp.trace.records import PacketRecord, Record, RefusalRecord, StepRecord
from tcrp.view.index import NETWORK, SERVER, TraceIndex, holding


class Focus:
    """The user and the room that were looked at last: they stay where a record is about none."""

    def __init__(self) -> None:
        self.user = self.room = ""

    def of(self, index: TraceIndex, record: Record, user: str, room: str) -> tuple[str, str]:
        """The user (by id) and room of a record. `user` and `room`, where not empty, are the only ones to be shown."""
        if isinstance(record, StepRecord | RefusalRecord):
            name, at, inside = record.id.rpartition("@")
            if record.machine is Machine.ROOM:
                room = room or record.id
                user = user or self._member_of(index, room, record.n)
            elif record.machine is Machine.HANDSHAKE or not at:
                user = user or (record.id if record.actor == SERVER else record.actor)
            else:
                user = user or _id_of(index, name)
                room = room or inside
        elif isinstance(record, PacketRecord):
            ends = [id for id in record.link.split(">") if id not in (SERVER, NETWORK, "")]
            user = user or (ends[0] if ends else "")
        elif record.actor not in (SERVER, NETWORK):
            user = user or record.actor
        if user and user != self.user:
            self.user, self.room = user, ""
        if room:
            self.room = room
        if self.user and not self.room:
            self.room = _room_of(index, self.user, record.n)
        return self.user, self.room

    def _member_of(self, index: TraceIndex, room: str, n: int) -> str:
        """Whose session in a room has taken the latest step; whoever was looked at, if in that room."""
        if self.room == room:
            return self.user
        before = index.before(n + 1, [re.compile(b"@" + holding(room).pattern + rb'","instance"')])
        found = index.record(before) if before is not None else None
        return _id_of(index, found.id.rpartition("@")[0]) if isinstance(found, StepRecord) else ""


def _id_of(index: TraceIndex, name: str) -> str:
    """The id of a user of this name; the name, where the trace does not tell ids."""
    return next((id for id, member in index.header.cast.items() if member.name == name), name)


def _room_of(index: TraceIndex, user: str, n: int) -> str:
    """The room of a user's latest session up to record `n`."""
    member = index.header.cast.get(user)
    name = holding(f"{member.name if member is not None else user}@").pattern
    before = index.before(n + 1, [re.compile(b'"id":"' + name + rb'[^"]*","instance"')])
    found = index.record(before) if before is not None else None
    return found.id.rpartition("@")[2] if isinstance(found, StepRecord) else ""
