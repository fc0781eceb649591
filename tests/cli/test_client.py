"""`chat-client` on a terminal: asking, typing, reading, commands, passwords and dialects."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import BIN, PATIENCE, LiveServer, Peer, live_server, room_of, until
from terminal import CTRL_A, CTRL_C, CTRL_D, CTRL_E, CTRL_Z, UP, Terminal, client, plain, ports


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server("--linger", "0s") as server:
        yield server


def test_without_arguments_it_asks_and_does_not_echo_the_password(server: LiveServer) -> None:
    with client(server) as ann:
        ann.shows("Your name:")
        ann.enters("a:nn")
        ann.shows("a user name must not contain : [ ]")
        ann.enters("ann")
        ann.shows("1 create a room, 2 join a room, 3 quit:")
        ann.enters("1")
        ann.shows("Room name:")
        ann.enters("den")
        ann.shows("Room password")
        ann.enters("open sesame")
        ann.shows("You are in den as ann.")
        assert not any("sesame" in line for line in ann.lines)
        with client(server, "--name", "bob", "--join", "den") as bob:
            bob.shows("The room den has a password.")
            bob.enters("open sesame")
            bob.shows("You are in den as bob.")
            ann.shows("bob joined")
            bob.enters("hello, ann")
            ann.shows("bob hello, ann")
            bob.enters("/leave")
            assert bob.ends() == 0
        ann.shows("bob left")
        ann.enters("exit")
        until(lambda: sum("3 quit:" in line for line in ann.lines) == 2, "the menu again")
        ann.enters("3")
        assert ann.ends() == 0


def test_arriving_texts_do_not_break_the_line_being_typed(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "lines") as ann:
        ann.shows("You are in lines")
        bob = Peer(server, "bob").joins("lines")
        bob.says("first")
        ann.shows("bob first")
        ann.types("half a sen")
        ann.shows("> half a sen")
        for number in range(3):
            bob.says(f"meanwhile {number}")
        ann.shows("bob meanwhile 2")
        until(lambda: ann.lines[-1] == "> half a sen", "the line being typed, below all texts")
        ann.enters("tence")
        ann.shows("ann half a sentence")
        assert bob.hears() == b"ann: half a sentence"


def test_lines_are_wrapped_at_blanks_below_the_text(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "wrap") as ann:
        ann.shows("You are in wrap")
        bob = Peer(server, "bob").joins("wrap")
        bob.says("word " * 40)
        until(lambda: sum(line.endswith("word word") for line in ann.lines) == 3, "three lines of words")
        lines = [line for line in ann.lines if line.endswith("word word")]
        assert [line.index("word") for line in lines] == [13, 13, 13]
        assert sum(line.count("word") for line in lines) == 40
        bob.says("あ" * 50 + " end")
        ann.shows("あ end")
        [last] = [line for line in ann.lines if line.endswith("あ end")]
        assert last.startswith(" " * 13 + "あ")
        ann.enters("/help")
        ann.shows("which closes it: you are its host")


def test_lines_that_are_typed_ahead_leave_nothing_behind(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "ahead") as ann:
        ann.shows("You are in ahead")
        for number in range(30):  # some of them while there is no prompt
            ann.types(f"//{number}\r" if number % 2 else f"/{number}\r")
            time.sleep(0.01)
        ann.shows("ann /29")
        assert [line for line in ann.lines if not line.startswith((f"{line[:2]}:", ">"))] == []


def test_ctrl_d_that_is_typed_while_there_is_no_prompt_leaves_the_room() -> None:
    with live_server() as server:
        server.signal(signal.SIGSTOP)  # it answers later
        with client(server, "--name", "ann", "--create", "early") as ann:
            until(lambda: not ann.echoes, "the client's hold of the terminal")
            ann.types(CTRL_D)
            server.signal(signal.SIGCONT)
            ann.shows("You left early")
            assert ann.ends() == 0


def test_the_terminal_is_left_as_it_was_found(server: LiveServer) -> None:
    with Terminal("bash", "--norc", "-c", f"{BIN / 'chat-client'} {' '.join(ports(server))} --name ann; stty -a",
                  folder=Path("/bin")) as shell:  # fmt: skip
        shell.shows("1 create a room")
        shell.enters("3")
        shell.shows(" echo ")
        assert not any("-icanon" in line for line in shell.lines)
        assert shell.ends() == 0


def test_the_arrow_key_recalls_the_previous_line(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "history") as ann:
        ann.shows("You are in history")
        bob = Peer(server, "bob").joins("history")
        bob.says("here")
        ann.shows("bob here")
        ann.enters("say it again")
        assert bob.hears() == b"ann: say it again"
        ann.types(UP)
        ann.shows("> say it again")
        ann.enters("!")
        assert bob.hears() == b"ann: say it again!"


def test_help_lists_the_commands_and_who_lists_the_members(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "words") as ann:
        ann.shows("You are in words")
        bob = Peer(server, "bob").joins("words")
        bob.says("here")
        ann.shows("bob here")
        ann.enters("/who")
        ann.shows("In words: ann, bob")
        ann.enters("/help")
        ann.shows("Ctrl-D: leave the room, which closes it: you are its host")
        ann.enters("/nonsense")
        ann.shows("Unknown command /nonsense; type /help for help.")
        ann.enters("//nonsense")
        assert bob.hears() == b"ann: /nonsense"
        ann.enters("x" * 4000 + "あ" * 100)
        ann.shows("Too long for one message; nothing was sent.")
        ann.enters("after that")
        assert bob.hears() == b"ann: after that"


@pytest.mark.parametrize(("key", "code"), [(CTRL_D, 0), (CTRL_C, 130)])
def test_ctrl_c_and_ctrl_d_leave_the_room(server: LiveServer, key: str, code: int) -> None:
    room = f"key{code}"
    with room_of(server, "bob", room=room) as [bob], client(server, "--name", "ann", "--join", room) as ann:
        ann.shows(f"You are in {room}")
        until(lambda: ann.lines[-1] == ">", "the prompt")
        ann.types(key)
        assert bob.hears() == b"ann left the room"
        assert ann.ends() == code


def test_texts_cannot_control_the_terminal(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "paint") as ann:
        ann.shows("You are in paint")
        mallory = Peer(server, "mallory").joins("paint")
        mallory.says("\x1b[2J\x1b[H\x1b]0;title\x07gone\r\nand\ta \u202efake: line\x9b31m")
        ann.shows("mallory [2J[H]0;titlegone  and a fake: line31m")
        ann.shows("You are in paint")


def test_names_keep_their_colours_and_wide_ones_are_aligned(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "wide") as ann:
        ann.shows("You are in wide")
        peers = [Peer(server, name).joins("wide") for name in ("ボブ", "cem", "a-very-long-name-indeed")]
        for number, peer in enumerate(peers):
            peer.says(f"text{number}")
            ann.shows(f"text{number}")
        peers[0].says("same0")
        peers[1].says("same1")
        ann.shows("same1")
        ann.shows("a-very-long-nam…")
        assert ann.column_of("same0") == ann.column_of("same1") == ann.column_of("text2")
        assert ann.column_of("text0") == ann.column_of("text1")
        assert ann.colour_of("cem text1") == ann.colour_of("cem same1") != "default"


def test_a_name_that_somebody_else_has_is_asked_for_anew(server: LiveServer) -> None:
    with room_of(server, "ann", room="taken"), client(server, "--name", "ann", "--join", "taken") as ann:
        ann.shows("The name ann is taken in taken; choose another name.")
        ann.shows("idle timeout (5 minutes by default).")
        ann.enters("an:na")
        ann.shows("a user name must not contain")
        ann.enters("anna")
        ann.shows("You are in taken as anna.")


def test_a_host_is_asked_once_before_the_room_closes_for_others(server: LiveServer) -> None:
    for number, leaves in enumerate((CTRL_C, CTRL_D, "exit\r")):
        room = f"meant{number}"
        with client(server, "--name", "ann", "--create", room) as ann:
            ann.shows(f"You are in {room}")
            bob = Peer(server, "bob").joins(room)
            bob.says("hello")
            ann.shows("bob hello")
            ann.types("half a line")
            ann.shows("> half a line")
            ann.types(CTRL_C)
            until(lambda ann=ann: ann.lines[-1] == ">", "the line is cleared")
            ann.types(leaves)
            ann.shows(f"leaving closes {room} for all others (1 known).")
            ann.enters("I stay")
            assert bob.hears() == b"ann: I stay"
            ann.types(leaves)
            until(lambda ann=ann: sum("leaving closes" in line for line in ann.lines) == 2, "it asks again")
            ann.types(leaves)
            assert bob.hears() == b"Room closed"
            ann.shows(f"You left {room}, which closes it.")
            assert ann.ends() == (130 if leaves == CTRL_C else 0)


def test_a_pasted_block_is_sent_line_by_line_and_commands_nothing(server: LiveServer) -> None:
    with room_of(server, "bob", room="paste") as [bob], client(server, "--name", "ann", "--join", "paste") as ann:
        ann.shows("You are in paste")
        ann.types("\x1b[200~one\nexit\n/leave\n\n  two\x1b[201~")
        ann.enters("")
        assert [bob.hears() for _ in range(3)] == [b"ann: one", b"ann: /leave", b"ann:   two"]
        ann.shows("Not sent, because it would mean that you leave: exit")
        for line in ("ann one", "ann /leave", "ann   two"):
            ann.shows(line)


def test_no_key_is_lost_while_texts_arrive(server: LiveServer) -> None:
    with room_of(server, "bob", room="keys") as [bob], client(server, "--name", "ann", "--join", "keys") as ann:
        ann.shows("You are in keys")
        typed = ""
        for number in range(15):  # a flood, up to what a server lets through
            bob.says(f"text {number}")
            ann.types(str(number % 10))
            typed += str(number % 10)
        ann.shows("bob text 14")
        ann.types(CTRL_A + "x" + CTRL_E)
        ann.enters("")
        assert bob.hears() == f"ann: x{typed}".encode()


def test_ctrl_z_suspends_and_fg_draws_the_line_again(server: LiveServer) -> None:
    with Terminal("bash", "--norc", "-i", env={"PS1": "$ "}, folder=Path("/bin")) as shell:
        shell.shows("$")
        shell.enters(f"{BIN / 'chat-client'} {' '.join(ports(server))} --name ann --create back")
        shell.shows("You are in back")
        shell.types("half")
        shell.shows("> half")
        shell.types(CTRL_Z)
        shell.shows("Stopped")
        shell.enters("fg")
        until(lambda: shell.lines[-1] == "> half", "the line that was being typed")
        bob = Peer(server, "bob").joins("back")
        bob.says("welcome back")
        shell.shows("bob welcome back")


def test_ctrl_z_while_there_is_no_prompt_gives_the_shell_its_terminal_back() -> None:
    # bash takes the terminal for its session; dash, which edits no lines itself, shows how it was left.
    with live_server() as server, Terminal("bash", "--norc", "-i", env={"PS1": "$ "}, folder=Path("/bin")) as shell:
        server.signal(signal.SIGSTOP)  # it answers later
        shell.shows("$")
        shell.enters("PS1='dash ' exec dash -i")
        shell.shows("dash")
        until(lambda: shell.echoes, "a line that the system edits")
        shell.enters(f"{BIN / 'chat-client'} {' '.join(ports(server))} --name ann --create later")
        until(lambda: not shell.echoes, "the client's hold of the terminal")
        shell.types(CTRL_Z)
        shell.shows("Stopped")
        assert shell.echoes
        shell.enters("fg")
        until(lambda: not shell.echoes, "the client's hold again")
        shell.types(CTRL_D)
        server.signal(signal.SIGCONT)
        shell.shows("You left later")
        until(lambda: shell.echoes, "the terminal as it was found")


def test_names_and_commands_are_completed(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "tab") as ann:
        ann.shows("You are in tab")
        bob = Peer(server, "bobby").joins("tab")
        bob.says("hello")
        ann.shows("bobby hello")
        ann.types("bo\t")
        ann.shows("> bobby:")
        ann.enters("and bo\t")
        assert bob.hears() == b"ann: bobby: and bobby"
        ann.enters("/wh\t")
        ann.shows("In tab: ann, bobby")


def test_a_mention_rings_and_is_marked_and_what_came_without_focus_stands_below_a_mark(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "bell") as ann:
        ann.shows("You are in bell")
        bob = Peer(server, "bob").joins("bell")
        bob.says("annual report")
        ann.shows("bob annual report")
        assert ann.bells == 0
        assert "unread" not in "".join(ann.lines)
        ann.types("\x1b[Oz")  # the window has lost the focus; when the letter is there, the client knows
        until(lambda: ann.lines[-1].rstrip().endswith("z"), "the letter")
        ann.types("\x7f")
        bob.says("hello, Ann!")
        ann.shows("bob hello, Ann!")
        until(lambda: ann.lines[-3].endswith("── unread ────"), "the mark above the text")
        assert ann.bells == 1
        bob.says("are you there?")
        ann.shows("bob are you there?")
        ann.enters("yes")
        ann.shows("ann yes")
        bob.says("good")
        ann.shows("bob good")
        assert sum("unread" in line for line in ann.lines) == 1


def test_actions_are_said_and_what_no_dialect_can_is_said_to_be_so(server: LiveServer) -> None:
    with room_of(server, "bob", room="act") as [bob], client(server, "--name", "ann", "--join", "act") as ann:
        ann.shows("You are in act")
        ann.enters("/me ")
        ann.shows("Usage: /me TEXT")
        ann.enters("/me waves")
        assert bob.hears() == b"ann: * waves"
        ann.enters("/msg bob psst")
        ann.shows("no private messages")
        ann.enters("/rooms")
        ann.shows("This dialect cannot list the rooms of a server.")
        ann.enters("/who")
        ann.shows("Known so far: ann. Members who have said nothing are not listed.")
        assert bob.hears_nothing()


def test_rooms_are_listed_where_the_dialect_can() -> None:
    dialect = ("--dialect", "name-port-list")
    with live_server(*dialect) as server, client(server, "--name", "ann", "--create", "den", *dialect) as ann:
        ann.shows("You are in den")
        with client(server, "--name", "bob", "--create", "attic", *dialect) as bob:
            bob.shows("You are in attic")
            bob.enters("/rooms")
            bob.shows("Rooms: den, attic")


def test_a_file_gives_name_and_server_and_options_override_it(server: LiveServer, tmp_path: Path) -> None:
    config = tmp_path / "tcrp" / "chat-client.toml"
    config.parent.mkdir()
    config.write_text(f'name = "ann"\ntcp_port = {server.tcp}\nudp_port = {server.udp}\nbell = false\n')
    for options, name in (((), "ann"), (("--name", "zoe"), "zoe")):
        with Terminal(
            "chat-client", "--create", f"file-{name}", *options, env={"XDG_CONFIG_HOME": str(tmp_path)}
        ) as user:
            user.shows(f"You are in file-{name} as {name}.")
    config.write_text('nmae = "ann"\n')
    done = plain(server, b"", "--config", str(config))
    assert done.stderr.decode() == f"chat-client: {config}: there is no key 'nmae'; did you mean name?\n"
    config.write_text("tcp_port = 70000\n")
    done = plain(server, b"", "--config", str(config))
    assert done.stderr.decode() == f"chat-client: {config}: tcp_port is 70000; expected is a port, 1 to 65535\n"
    done = plain(server, b"", "--config", "/none.toml")
    assert (done.returncode, done.stderr) == (
        2,
        b"chat-client: /none.toml: cannot read it: No such file or directory\n",
    )


def test_wrong_passwords_that_lock_an_address_out_are_named_and_the_client_goes_on() -> None:
    with live_server("--password-tries-max", "1") as server, client(server) as bob:
        arguments = ["--name", "ann", "--create", "vault", "--password-file", __file__]
        with client(server, *arguments) as ann:
            ann.shows("You are in vault")
            bob.enters("bob")
            bob.shows("1 create a room, 2 join a room, 3 quit:")
            bob.enters("leave")
            bob.shows("Please enter create, join or quit, or 1, 2 or 3.")
            bob.enters("join")
            bob.enters("vault")
            bob.enters("wrong")
            bob.shows("Wrong password for vault.")
            bob.enters("wrong again")
            bob.shows("Too many wrong passwords for vault from your address; try again in a minute.")
            bob.enters("")  # gives up
            until(lambda: "3 quit:" in bob.lines[-1], "the menu again")


def test_the_right_password_gets_in_during_a_lock_out(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("open sesame")
    vault = ("--create", "vault", "--password-file", str(tmp_path / "password"))
    with (
        live_server("--password-tries-max", "1") as server,
        client(server, "--name", "ann", *vault) as ann,
        client(server, "--name", "bob") as bob,
    ):
        ann.shows("You are in vault")
        bob.shows("3 quit:")
        for answer in ("join", "vault", ""):
            bob.enters(answer)
        bob.shows("The room vault has a password.")
        bob.enters("wrong")
        bob.shows("Wrong password for vault.")
        bob.enters("wrong again")
        bob.shows("Too many wrong passwords for vault from your address")
        ends = time.monotonic() + PATIENCE
        while not any("You are in vault" in line for line in bob.lines):
            assert time.monotonic() < ends, "one password a second is looked at"
            bob.enters("open sesame")
            time.sleep(0.5)


@pytest.mark.parametrize("dialect", ["text", "json-address", "json-port", "json-endpoint", "json-name", "name-port"])
def test_it_speaks_every_dialect_that_the_server_recognises(server: LiveServer, dialect: str) -> None:
    room = f"in-{dialect}"
    with room_of(server, "bob", room=room) as [bob]:
        options = ["--name", "ann", "--join", room, "--dialect", dialect]
        with client(server, *options) as ann:
            ann.shows(f"You are in {room}")
            ann.enters("hello")
            assert bob.hears() == b"ann: hello"
            bob.says("hello, ann")
            ann.shows("bob hello, ann")
            ann.types(CTRL_D)
            assert ann.ends() == 0
