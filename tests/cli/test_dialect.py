"""`chat-sim dialect` and `chat-server --print-dialect`: files are checked, shown, begun and compared before use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcrp.cli.dialects import dialect_named
from tcrp.cli.server import main as chat_server
from tcrp.cli.sim import main
from tcrp.engine.codec import codec
from tcrp.spec.dialects import SHIPPED, path_of
from tcrp.spec.names import Operation

CLOSED = 'room_closed = "Room closed"'
RELAY = """fields = ["'{name}: {text}'"]"""


def described(folder: Path, like: str = "text", *changes: tuple[str, str]) -> str:
    """A file that describes a changed dialect."""
    toml = path_of(like).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in toml
        toml = toml.replace(old, new, 1)
    path = folder / "mine.toml"
    path.write_text(toml, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_included_dialect_is_shown_printed_and_good(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dialect", "show", name]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{name}: ")
    assert all(len(line) <= 78 for line in shown.splitlines() if line.startswith(("  +", "  |")))
    assert chat_server(["--print-dialect", name]) == 0
    file = tmp_path / "same.toml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["dialect", "check", str(file)]) == 0
    assert capsys.readouterr().out.startswith(f"{file}: ok ({name}: port from ")


def test_a_message_is_shown_as_boxes_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    main(["dialect", "show", "name-port-list"])
    shown = capsys.readouterr().out
    assert (
        """
relay: the server hands it on (UDP)
  +-----------+------+------+
  | len(name) | name | text |
  | 1         | …    | …    |
  +-----------+------+------+
  05 'alicehello'
"""
        in shown
    )


def test_a_new_description_can_be_used_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dialect", "new", "--from", "name-port", "--name", "ours"]) == 0
    file = tmp_path / "ours.toml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["dialect", "check", str(file)]) == 0
    assert "ok (ours: port from request" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("state = 1", "stat = 1")], "mine.toml:12: answer.stat: unknown key; did you mean state?"),
        ([('payload = ["name"]', 'payload = ["nam"]')], "mine.toml:9: request.payload: 'nam' is no field; did you"),
        ([(RELAY, 'fields = ["name", "text"]')], "two fields of open length side by side: name and text"),
        # What only whole messages show:
        ([('left = "{name} left the room"', 'left = "{name}: {any}"')],
         "mine.toml:29: relay: the text 'hello' reads as a notice"),
        ([('[port]', '[refusal.bad_request]\npayload = ["hex 00"]\n\n[port]')],
         "mine.toml:23: refusal.bad_request: it is read as an answer"),
        ([(CLOSED, CLOSED), ("[notices]", '[notice]\nfields = ["len(sentence): u1", "sentence"]\n\n[notices]'),
          (CLOSED, 'room_closed = "{room} is closed"')],
         "mine.toml:41: notices.room_closed: it cannot be told where names have 255"),
        ([('payload = ["token"]', "payload = [\"'ok'\", \"token: fixed 8\"]")],
         "mine.toml:15: completion: a message cannot be written even for alice in room1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_before_anything_starts(
    changes: list[tuple[str, str]], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = described(tmp_path, "text", *changes)
    assert main(["dialect", "check", file]) == 2
    assert said in capsys.readouterr().err
    assert chat_server(["--dialect", file, "--tcp-port", "0", "--udp-port", "0"]) == 2
    assert said in capsys.readouterr().err


def test_files_that_are_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    huge, latin = tmp_path / "huge.toml", tmp_path / "latin.toml"
    huge.write_bytes(b"#" * 10_000_000)
    latin.write_bytes(b'name = "\xe9"')
    for name, said in (
        (str(huge), "huge.toml: a description of a dialect has at most 262144 bytes"),
        (str(latin), "latin.toml: not valid UTF-8"),
        (str(tmp_path), "cannot read the dialect: Is a directory"),
        (str(tmp_path / "none.toml"), "cannot read the dialect: No such file or directory"),
        ("jsn", "there is no dialect named 'jsn'; did you mean json?"),
    ):
        assert main(["dialect", "check", name]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("first", "second", "code", "said"),
    [
        ("text", "name-port", 1, "text reads this request of name-port, wrongly, as of 'aliceca'"),
        ("json", "typed-lengths", 1, "json reads this request of typed-lengths, rightly, as of 'alice'"),
        ("json", "json-name", 0, "No request of json is read by json-name"),
    ],
)
def test_two_dialects_that_read_one_request_are_found_with_its_bytes(
    first: str, second: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dialect", "ambiguous", first, second]) == code
    assert said in capsys.readouterr().out


def test_the_documented_example_is_the_captured_form(tmp_path: Path) -> None:
    """docs/dialects.md comes from a hex dump to a file; the shipped dialect comes from the same dump."""
    text = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")
    described = text.partition("```toml dump.toml\n")[2].partition("```")[0]
    file = tmp_path / "dump.toml"
    file.write_text(described, encoding="utf-8")
    assert main(["dialect", "check", str(file)]) == 0
    ours, theirs = dialect_named(str(file)), codec("name-password-prefix")
    token = b"456a37c499970a33882ed97f2d61a141"
    assert ours.write_request(Operation.CREATE, b"room1", "alice", "pw", "", 0)[-13:] == b"room1alice:pw"
    for each in (ours, theirs):
        assert each.write_completion(Operation.CREATE, b"room1", "alice", token) == b"\x01\x00" + token
        assert each.write_relay("bob", "hi from bob", b"room1", token) == b"\x05 room1" + token + b"\x03bobhi from bob"
