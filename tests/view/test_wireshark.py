"""The dissector that is generated for Wireshark, in real tshark: on runs, and on packets of a real server."""

from __future__ import annotations

import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from captures import capture, fields, tshark
from processes import PATIENCE, live_server, room_of, until
from system_tools import required
from tcrp.cli.sources import play_for_a_look
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.dialects import AUTO, NAMES, dialect
from tcrp.spec.names import Rule
from tcrp.view.pcapng import write_pcapng
from tcrp.view.wireshark import EXPERTS, wireshark

ROOT = Path(__file__).parents[2]
BROKEN = "_ws.malformed || _ws.lua.error"


@pytest.fixture(scope="module")
def lua(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("lua") / "tcrp.lua"
    path.write_text(wireshark(), encoding="utf-8")
    return f"lua_script:{path}"


def messages(path: Path, lua: str, *options: str, where: str = "tcrp") -> list[tuple[str, ...]]:
    """The dialect, message and summary of each packet of TCRP."""
    return fields(path, "tcrp.dialect", "tcrp.message", "_ws.col.Info", where=where, options=("-X", lua, *options))


def scenario(*rows: str, users: str = "") -> str:
    script = "".join(f"  - {{{row}}}\n" for row in rows)
    return f"claim: x\nusers: {{{users}}}\nnetwork: {{default: {{delay: 10ms}}}}\nscript:\n{script}"


def everyone(names: tuple[str, ...]) -> str:
    """A host and a user of each dialect: each enters and speaks, one leaves, the host closes; then all are refused."""
    users = ", ".join(f"u{n}: {{dialect: {name}}}" for n, name in enumerate(names))
    rows = ["at: 0s, host: {create: lobby}"]
    rows += [f"at: {n + 1}s, u{n}: {{join: lobby}}" for n in range(len(names))]
    rows += [f'at: {n + 20}s, u{n}: {{say: "日本 {n}"}}' for n in range(len(names))]
    rows += ["at: 60s, host: leave"]
    rows += [f"at: {n + 80}s, u{n}: {{join: nowhere}}" for n in range(len(names))]
    return scenario(*rows, users=users)


@pytest.mark.parametrize("two_passes", [(), ("-2",)], ids=["one-pass", "two-passes"])
def test_every_message_of_every_dialect_is_understood(lua: str, two_passes: tuple[str, ...], tmp_path: Path) -> None:
    path = capture(everyone(AUTO), tmp_path)
    found = messages(path, lua, *two_passes, where="(tcp.len > 0 || udp)")
    assert not [row for row in found if row[1] in ("", "frame") or "not understood" in row[2]]
    for number, name in enumerate(AUTO):
        own = {(message, words) for spoken, message, words in found if spoken == name}
        assert ("request", f"join lobby as u{number}") in own
        assert ("say", f"say 日本 {number}") in own
        assert any(message == "completion" for message, _ in own)
        assert any(message == "relay" and "日本" in words for message, words in own) or number == 0
        assert any(message == "notice" and words.startswith("notice room_closed") for message, words in own)
        assert any(message == "refusal" for message, _ in own)
    assert tshark(path, "-X", lua, *two_passes, "-Y", BROKEN) == []


def test_a_dialect_that_auto_does_not_recognise_is_named(lua: str, tmp_path: Path) -> None:
    name = next(name for name in NAMES if dialect(name).lists and name not in AUTO)
    rows = scenario(
        "at: 0s, host: {create: lobby}", "at: 1s, bob: {join: lobby}", "at: 9s, bob: {say: hi}", "at: 10s, host: leave",
        users=f"host: {{dialect: {name}}}, bob: {{dialect: {name}}}",
    )  # fmt: skip
    path = capture(f"server: {{dialect: {name}}}\n{rows}", tmp_path)
    found = messages(path, lua, "-o", f"tcrp.dialects:json,{name}", where="(tcp.len > 0 || udp)")
    assert {spoken for spoken, _, _ in found} == {name}
    assert (name, "relay", "relay bob: hi") in found


def test_a_reply_tells_the_dialect_of_a_request_that_several_dialects_read(lua: str, tmp_path: Path) -> None:
    path = ROOT / "sim" / "scenarios" / "members-of-all-listeners-share-a-room.yaml"
    path = capture(path.read_text(encoding="utf-8"), tmp_path)
    ports = ("-o", "tcrp.tcp_ports:9002,9004,9006,9008,9010", "-o", "tcrp.udp_ports:9003,9005,9007,9009,9011")
    found = messages(path, lua, *ports, where="(tcp.len > 0 || udp)")
    assert not [row for row in found if row[1] in ("", "frame") or "not understood" in row[2]]
    assert ("name-port-list", "enter", "enter") in found  # its request is one of name-port, too


def test_a_refusal_of_no_bytes_is_not_found_for_ever(lua: str, tmp_path: Path) -> None:
    # Such is that of colon-fields: read as a reply of this dialect, it stands at each place of a stream.
    read = read_scenario_text(scenario("at: 0s, a: {create: lobby}", "at: 1s, b: {join: lobby}", "at: 2s, a: leave",
                                       "at: 9s, b: {join: nowhere}"))  # fmt: skip
    played = play_for_a_look(
        replace(read, users=tuple(replace(user, dialect="colon-fields") for user in read.users)),
        None,
        keeps_payloads=True,
    )
    path = tmp_path / "run.pcapng"
    with path.open("wb") as file:
        write_pcapng(played.header, played.records, file, played.payloads)
    found = messages(path, lua, "-o", "tcrp.dialects:colon-fields")
    assert max(words.count(";") for _, _, words in found) < 3  # messages of one packet
    assert not [row for row in found if row[1].count("\x1f") > 3]


def test_requests_in_pieces_are_put_together(lua: str, tmp_path: Path) -> None:
    rows = scenario("at: 0s, a: {create: lobby}").replace("{delay: 10ms}", "{delay: 10ms, segment: 1}")
    path = capture(rows, tmp_path)
    assert [words for _, _, words in messages(path, lua)][:3] == ["create lobby as a", "answer", "completion, token "
           + _token(path, lua)[:8]]  # fmt: skip


def _token(path: Path, lua: str) -> str:
    [row] = fields(path, "tcrp.token", where="tcp && tcrp.token", options=("-X", lua))
    return row[0]


LOW_PORT = bytes((1, 1, 0)) + bytes(28) + b"\x03" + b"r" + b"u\x00\x50"
ATTACKS = scenario(
    "at: 0s, alice: {create: lobby}",
    "at: 1s, bob: {join: lobby}",
    "at: 2s, mallory: {steal_token: alice}",
    'at: 3s, mallory: {say: "mine"}',
    'at: 4s, bob: {datagram: {hex: "ff ff 00"}}',
    'at: 5s, bob: {datagram: {token_of: bob, room: other, text: "x"}}',
    'at: 6s, bob: {say: {repeat: "x", bytes: 4096}}, allow_invalid: true',
    'at: 7s, bob: {stream: {hex: "ff ff"}}',
    f'at: 8s, carol: {{stream: {{hex: "{LOW_PORT.hex()}"}}}}',
    "at: 9s, bob: {join: nowhere}",
    "at: 10s, bob: leave",
    users="mallory: {attacker: true}, bob: {dialect: text}",
)  # fmt: skip


def test_what_breaks_a_rule_is_pointed_out_with_the_rule(lua: str, tmp_path: Path) -> None:
    path = capture(ATTACKS, tmp_path)
    rows = fields(path, "tcrp.rule", "_ws.col.Info", where="tcrp.rule", options=("-X", lua))
    found = {(rule, words.partition(" ")[0]) for rules, words in rows for rule in rules.split("\x1f")}
    assert {("R-TOK-3", "say"), ("R-IDLE-2", "say"), ("R-UDP-1", "say"), ("R-EXIT-1", "leave"),
            ("R-IDLE-1", "keep_alive")} <= found  # fmt: skip
    assert tshark(path, "-X", lua, "-Y", BROKEN) == []
    [severities] = {
        row[0] for row in fields(path, "_ws.expert.severity", where='tcrp.rule == "R-UDP-1"', options=("-X", lua))
    }
    assert str(0x800000) in severities  # an error


def test_every_expert_names_a_rule_that_the_dissector_explains() -> None:
    made = wireshark()
    for each in EXPERTS:
        assert each.rule in Rule
        assert f'["{each.rule}"]' in made
        assert f'complain(subtree, "{each.id}"' in made or f'"{each.id}"' in made.partition("local DIALECTS")[2]


def test_sentences_with_signs_of_patterns_are_matched_as_they_are() -> None:
    # json-port's notices have brackets, which a pattern of Lua would read as a set.
    assert "%[システム%]" in wireshark()


# --- a real server -----------------------------------------------------------------------------------


@contextmanager
def recording(path: Path, filter: str) -> Iterator[None]:
    """Record what the loopback carries. Skips the test where that is not permitted."""
    dumpcap = subprocess.Popen(
        [required("dumpcap"), "-q", "-i", "lo", "-f", filter, "-w", str(path)], stderr=subprocess.PIPE, text=True
    )
    assert dumpcap.stderr is not None
    try:
        said = ""
        while "File:" not in said:  # it records now
            readable, _, _ = select.select([dumpcap.stderr], [], [], PATIENCE)
            line = dumpcap.stderr.readline() if readable else ""
            if not line:
                pytest.skip(f"dumpcap cannot record: {said}")
            said += line
        yield
    finally:
        dumpcap.terminate()
        dumpcap.wait(PATIENCE)
        dumpcap.stderr.close()


def test_a_conversation_with_a_real_server_is_understood(lua: str, tmp_path: Path) -> None:
    path = tmp_path / "live.pcapng"
    with live_server() as server:
        ports = ("-o", f"tcrp.tcp_ports:{server.tcp}", "-o", f"tcrp.udp_ports:{server.udp}")
        with recording(path, f"tcp port {server.tcp} or udp port {server.udp}"), room_of(server, "ann", "bob") as peers:
            peers[0].says("こんにちは")
            assert peers[1].hears() == "ann: こんにちは".encode()
            peers[0].says("exit")
            assert peers[1].hears() == b"Room closed"
            until(lambda: "notice room_closed" in str(messages(path, lua, *ports)), "the last packet in the file")
        found = messages(path, lua, *ports)
    words = [words for _, _, words in found]
    assert any(each.endswith("as ann") and each.startswith("create room-") for each in words)
    assert any(each.endswith("as bob") and each.startswith("join room-") for each in words)
    assert "say こんにちは" in words
    assert "relay ann: こんにちは" in words
    assert {spoken for spoken, _, _ in found} == {"text"}
    assert tshark(path, "-X", lua, *ports, "-Y", BROKEN) == []
