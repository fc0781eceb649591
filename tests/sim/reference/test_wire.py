"""Both servers read and write the same bytes, in the dialects of scenarios and in some of other forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from both_servers import SECOND, BothServers
from conversation import counted_tokens
from tcrp.engine.codec import Codec, codec_of
from tcrp.engine.outputs import ServerOutput, Stepped
from tcrp.spec.dialects import NAMES, parse, path_of
from tcrp.spec.names import Operation, Reason, SessionEvent

INTEROP = Path(__file__).parents[2] / "interop" / "dialects"
FILES = [
    *map(path_of, NAMES),
    *(INTEROP / f"{name}.toml" for name in ("answer-first", "bare-sentences", "status-in-one-frame")),
]
EVERY_DIALECT = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def dialect_of(file: Path) -> Codec:
    return codec_of(parse(file.read_text(encoding="utf-8"), file.name))


def reasons(outputs: list[ServerOutput]) -> list[str]:
    """Why requests are refused."""
    return [each.why for each in outputs if isinstance(each, Stepped) and each.why]


def events(outputs: list[ServerOutput]) -> list[str]:
    return [each.event for each in outputs if isinstance(each, Stepped)]


@EVERY_DIALECT
def test_both_servers_hold_the_same_conversation(file: Path) -> None:
    both = BothServers(dialect_of(file), members_max=2, linger=5 * SECOND)
    tokens = counted_tokens()
    alices, bobs = tokens(), tokens()
    both.asks("alice", Operation.CREATE, "lobby", "alice")
    both.wakes()
    both.asks("bob", Operation.JOIN, "lobby", "bob", ip="10.0.0.2")
    both.wakes()
    assert len(both.reference.rooms.sessions()) == 2
    assert reasons(both.asks("carol", Operation.JOIN, "lobby", "carol")) == [Reason.ROOM_FULL]
    assert reasons(both.asks("bobby", Operation.JOIN, "lobby", "bob")) == [Reason.NAME_TAKEN]
    assert reasons(both.asks("dave", Operation.JOIN, "attic", "dave")) == [Reason.NO_SUCH_ROOM]
    assert reasons(both.asks("eve", Operation.CREATE, "lobby", "eve")) == [Reason.ROOM_EXISTS]
    for text in ("hi", "", "日本", '{"a"', "Room closed", "bob left the room", "lobby", "exit now", "x" * 4000):
        json_text = json.dumps({"sender": "bob", "message": text}, ensure_ascii=False)
        for written in (text.encode(), json_text.encode(), b"\xff"):
            both.now_us += SECOND
            both.speaks(alices, "lobby", b"")
            both.speaks(bobs, "lobby", b"" if written == b"\xff" else written, ip="10.0.0.2", port=40_002)
            both.speaks(alices, "lobby", written)
    for word in sorted(both.codecs[0].dialect.leave_words)[:1]:
        both.now_us += SECOND
        assert SessionEvent.LEFT in events(both.speaks(bobs, "lobby", word.encode(), ip="10.0.0.2", port=40_002))
    both.give("shutdown", both.now_us)
    assert both.reference.rooms.sessions() == []


@EVERY_DIALECT
def test_both_servers_read_a_request_that_comes_in_any_two_parts(file: Path) -> None:
    speaks = dialect_of(file)
    whole = BothServers(speaks).request(Operation.CREATE, "lobby", "alice", password="sesame", asks_for_timeout=True)
    for cut in range(1, len(whole)):
        both = BothServers(speaks, idle_timeout=1_500_000)
        both.opens("alice")
        both.sends("alice", whole[:cut])
        both.sends("alice", whole[cut:])
        both.wakes()
        assert [each.name for each in both.reference.rooms.sessions()] == ["alice"]


@EVERY_DIALECT
def test_both_servers_judge_the_same_of_a_request_of_which_a_byte_is_another(file: Path) -> None:
    speaks = dialect_of(file)
    whole = BothServers(speaks).request(Operation.CREATE, "lobby", "alice", password="sesame")
    for at in range(len(whole)):
        for bit in (1, 0x80):
            both = BothServers(speaks)
            both.opens("alice")
            both.sends("alice", whole[:at] + bytes((whole[at] ^ bit,)) + whole[at + 1 :])
            both.give("stream_ended", "alice", both.now_us)
            both.wakes()
