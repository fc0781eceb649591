"""`chat-sim judge`: the first packet of a capture, or step of a trace, that breaks a rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from judge.film import COOKED, CREATE, ETHERNET, JOIN, NULL, RAW, TOKENS, Film, opening
from tcrp.cli.sim import main

ROOT = Path(__file__).parents[2]
Judged = Callable[..., "Result"]


class Result(NamedTuple):
    """What the command has printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def judged(capsys: pytest.CaptureFixture[str]) -> Judged:
    """`chat-sim judge`, in this process."""

    def run(path: Path, *options: str) -> Result:
        code = main(["judge", str(path), *options])
        return Result(code, *capsys.readouterr())

    return run


def a_good_talk() -> Film:
    film = opening()
    film.says("ann", "hi")
    film.hears("bob", "ann: hi")
    film.hears("cat", "ann: hi")
    film.says("cat", "x" * 3000)  # in fragments
    film.hears("ann", "cat: " + "x" * 3000)
    film.hears("bob", "cat: " + "x" * 3000)
    film.says("bob", b"\xff\xfe")
    film.says("bob", "exit")
    film.hears("ann", "bob left the room")
    film.hears("cat", "bob left the room")
    film.says("ann", "exit")
    for _ in range(2):
        film.hears("cat", "Room closed")
        film.waits(3)
    film.asks("ann", CREATE, token=b"d" * 32)
    return film


@pytest.mark.parametrize("link", [ETHERNET, NULL, RAW, COOKED])
@pytest.mark.parametrize("ng", [False, True])
def test_a_capture_of_a_server_that_follows_the_rules_breaks_none(
    judged: Judged, link: int, ng: bool, tmp_path: Path
) -> None:
    result = judged(a_good_talk().written(tmp_path / "capture", link, ng=ng))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "4 requests, 8 members' datagrams, 4 relays, 4 notices" in result.stdout


def relay_after_the_end(film: Film) -> int:
    film.says("ann", "exit")
    film.waits(0.310)
    film.says("bob", "still here")
    return film.hears("cat", "bob: still here")


def relay_to_an_expired_session(film: Film) -> int:
    film.says("bob", "exit")
    film.says("ann", "is bob gone?")
    film.hears("cat", "ann: is bob gone?")
    return film.hears("bob", "ann: is bob gone?")


def stolen_token(film: Film) -> int:
    film.says("eve", "I am bob", token=TOKENS["bob"])
    return film.hears("ann", "bob: I am bob")


def unknown_token(film: Film) -> int:
    film.says("eve", "let me in")
    return film.hears("ann", "eve: let me in")


def echo(film: Film) -> int:
    film.says("ann", "hi")
    return film.hears("ann", "ann: hi")


def twice(film: Film) -> int:
    film.says("ann", "hi")
    film.hears("bob", "ann: hi")
    return film.hears("bob", "ann: hi")


def out_of_order(film: Film) -> int:
    film.says("ann", "one")
    film.says("ann", "two")
    film.hears("bob", "ann: two")
    return film.hears("bob", "ann: one")


def another_name(film: Film) -> int:
    film.says("ann", "hi")
    return film.hears("bob", "cat: hi")


def too_long(film: Film) -> int:
    film.says("ann", "x" * 4000)
    return film.hears("bob", "ann: " + "x" * 4100)


def talk_on_tcp(film: Film) -> int:
    film.asks("eve", JOIN, behind=b"welcome")
    return film.number - 2


def a_token_again(film: Film) -> int:
    film.asks("eve", JOIN, token=TOKENS["bob"])
    return film.number - 2


def created_twice(film: Film) -> int:
    film.asks("eve", CREATE)
    return film.number - 2


def join_after_the_end(film: Film) -> int:
    film.says("ann", "exit")
    film.asks("eve", JOIN)
    return film.number - 2


def never_relayed(film: Film) -> int:
    number = film.says("ann", "is anybody here?")
    film.hears("bob", "ann: is anybody here?")
    film.waits(3)
    film.says("eve", "")
    return number


def never_told(film: Film) -> int:
    number = film.says("ann", "exit")
    film.waits(5)
    film.says("eve", "")
    return number


def another_room(film: Film) -> int:
    film.asks("eve", CREATE, "attic")
    film.says("eve", "", "attic")
    film.says("ann", "hi")
    return film.hears("eve", "ann: hi")


@pytest.mark.parametrize(
    ("breaks", "rule", "said"),
    [
        (relay_after_the_end, "R-TOK-4", "sent by bob 311 ms after that session ended (room_closed)"),
        (relay_to_an_expired_session, "R-TOK-4", "relay to 127.0.0.1:40098 of the text of packet"),
        (stolen_token, "R-TOK-3", "sent from 127.0.0.2 with the token of bob at 127.0.0.1"),
        (unknown_token, "R-TOK-2", "with a token that nobody was granted"),
        (echo, "R-REL-1", "back to its sender"),
        (twice, "R-REL-1", "a second time"),
        (out_of_order, "R-REL-2", "behind that of packet"),
        (another_name, "R-REL-3", "names 'cat'; it was sent by ann"),
        (too_long, "R-UDP-2", "4105 bytes to 127.0.0.1:40098"),
        (talk_on_tcp, "R-TCP-1", "7 bytes over TCP behind the last frame: b'welcome'"),
        (a_token_again, "R-TOK-1", "was granted before, to bob"),
        (created_twice, "R-TCP-4", "is granted room 'lobby', which is open"),
        (join_after_the_end, "R-ROOM-2", "whose host has left"),
        (never_relayed, "R-REL-1", "2 s later it is not relayed to cat, though present"),
        (never_told, "R-END-1", "2 s later bob is not told"),
        (another_room, "R-REL-1", "where eve is, in another room"),
    ],
)
def test_the_first_packet_that_breaks_a_rule_is_named(
    judged: Judged, breaks: Callable[[Film], int], rule: str, said: str, tmp_path: Path
) -> None:
    film = opening()
    number = breaks(film)
    result = judged(film.written(tmp_path / "capture.pcapng", ng=True))
    assert result.returncode == 1, result.stdout + result.stderr
    first = result.stdout.splitlines()[0]
    assert first.startswith(f"packet {number}: ")
    assert first.endswith(f": {rule}")
    assert said in first


def over_the_limit(film: Film) -> None:
    film.says("ann", "x" * 4096)


def silent_for_long(film: Film) -> None:
    film.waits(11)
    film.says("ann", "is anybody here?")


def left_at_once(film: Film) -> None:
    film.says("ann", "bye")
    film.says("ann", "exit")
    for who in ("bob", "cat"):
        film.hears(who, "Room closed")


def too_fast(film: Film) -> None:
    for number in range(40):
        film.says("ann", f"text {number}")
        if number < 12:
            film.hears("bob", f"ann: text {number}")
            film.hears("cat", f"ann: text {number}")


@pytest.mark.parametrize("why", [over_the_limit, silent_for_long, left_at_once, too_fast])
def test_a_text_that_a_server_may_keep_to_itself_is_not_missed(
    judged: Judged, why: Callable[[Film], None], tmp_path: Path
) -> None:
    film = opening()
    why(film)
    film.waits(5)
    film.says("eve", "")
    result = judged(film.written(tmp_path / "capture.pcap"))
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_happened_before_the_capture_began_is_not_held_against_the_server(judged: Judged, tmp_path: Path) -> None:
    whole = a_good_talk()
    late = Film()
    late.frames = whole.frames[12:]
    result = judged(late.written(tmp_path / "late.pcap"))
    assert result.returncode == 0, result.stdout


def test_a_truncated_capture_is_judged_as_far_as_it_goes_and_said_to_be_truncated(
    judged: Judged, tmp_path: Path
) -> None:
    path = a_good_talk().written(tmp_path / "cut.pcap")
    path.write_bytes(path.read_bytes()[:-30])
    result = judged(path)
    assert result.returncode == 2
    assert "truncated behind packet" in result.stderr
    path.write_bytes(path.read_bytes()[:10])
    result = judged(path)
    assert (result.returncode, result.stdout) == (2, "")
    assert "ends in its header" in result.stderr


def test_a_capture_without_our_ports_names_those_that_it_has(judged: Judged, tmp_path: Path) -> None:
    result = judged(a_good_talk().written(tmp_path / "other.pcap"), "--tcp-port", "7000", "--udp-port", "7001")
    assert (result.returncode, result.stdout) == (2, "")
    assert "there are TCP 9002, UDP 9003" in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "neither a capture (pcap, pcapng) nor a trace"),
        (b"\x7fELF\0\0", "neither a capture"),
        (b'{"schema":"other"}\n', "tcrp-trace/1"),
    ],
)
def test_what_is_no_recording_is_refused(judged: Judged, content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    result = judged(path)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    assert judged(tmp_path / "missing").returncode == 2


def test_a_trace_is_walked_step_by_step_and_a_forged_step_is_named(judged: Judged, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    assert main(["run", str(ROOT / "examples" / "cut.yaml"), "--format", "quiet", "--trace", str(path)]) == 0
    result = judged(path)
    assert result.returncode == 0, result.stderr
    assert "each a row of its machine's table" in result.stdout
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    number = next(at for at, line in enumerate(lines) if '"event":"entered"' in line)
    lines[number] = lines[number].replace('"from":"tokened"', '"from":"in-room"')
    path.write_text("".join(lines), encoding="utf-8")
    result = judged(path)
    assert result.returncode == 1
    assert result.stdout.startswith(f"record {number}: session ")


def test_a_capture_of_a_run_in_seven_dialects_breaks_no_rule(judged: Judged, tmp_path: Path) -> None:
    path = tmp_path / "run.pcapng"
    scenario = ROOT / "sim" / "scenarios" / "a-shutdown-closes-every-room-and-tells-every-member.yaml"
    assert main(["show", str(scenario), "--format", "pcapng", "-o", str(path)]) == 0
    result = judged(path)  # a trailer tells a port, and an enter word is no text
    assert result.returncode == 0, result.stdout + result.stderr
