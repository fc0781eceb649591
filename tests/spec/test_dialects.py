"""The files of the eight dialects are complete, and an error in such a file names its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tcrp.spec.dialects as dialects
from tcrp.spec.dialect_file import FILE_BYTES_MAX
from tcrp.spec.dialect_keys import KEYS
from tcrp.spec.dialects import AUTO, NAMES, SHIPPED, DialectError, Endings, Match, dialect, parse
from tcrp.spec.fields import PARTS_DEEP_MAX, Constant, Number, Role, Text, numbers, roles_of
from tcrp.spec.names import Notice, Operation, Reason

FILES = Path(dialects.__file__).parent / "dialects"
ENDINGS = (Notice.ROOM_CLOSED, Notice.IDLED, Notice.REMOVED, Notice.SUPERSEDED, Notice.SHUTDOWN)


def text_dialect() -> str:
    return (FILES / "text.toml").read_text(encoding="utf-8")


def test_every_file_is_a_dialect_and_every_dialect_has_a_file() -> None:
    assert sorted(path.stem for path in FILES.glob("*.toml")) == sorted(SHIPPED)
    assert [dialect(name).name for name in SHIPPED] == list(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_dialect_has_every_refusal_and_a_notice_for_every_ending(name: str) -> None:
    assert set(dialect(name).refusals) == set(Reason)
    assert all(dialect(name).notices[notice].sentences for notice in ENDINGS)


def test_a_server_recognises_all_but_the_one_whose_join_may_be_a_list() -> None:
    assert tuple(name for name in NAMES if not dialect(name).lists) == AUTO


def test_what_a_file_says_of_clients_is_read() -> None:
    toml = text_dialect().replace("[answer]", "[answer]\npause = '2s'").replace("[port]", "[enter]\nword = '@'\n[port]")
    made, usual = parse(toml, "mine.toml"), dialect("name-port")
    assert (made.leave_words, made.leave_repeats, made.pause_us, made.enter_word) == (
        ("exit", "/exit"),
        True,
        2_000_000,
        "@",
    )
    assert (usual.leave_repeats, usual.pause_us, usual.greeting) == (False, 0, None)
    assert dialect("colon-fields").greeting is not None


def test_a_file_that_gives_no_numbers_has_those_of_the_protocol() -> None:
    made = dialect("text")
    assert made.operations == {Operation.CREATE: 1, Operation.JOIN: 2, Operation.LIST: 2}
    assert {reason: refusal.status for reason, refusal in made.refusals.items()} == {
        Reason.ROOM_EXISTS: 1, Reason.NO_SUCH_ROOM: 2, Reason.WRONG_PASSWORD: 3, Reason.BAD_REQUEST: 4,
        Reason.ROOM_FULL: 5, Reason.NAME_TAKEN: 6, Reason.TOO_MANY_REQUESTS: 7,
    }  # fmt: skip
    assert made.answer is not None
    done = [each.values for each in numbers(made.answer[Operation.JOIN].items) if each.label == "status"]
    assert (done, made.answer_is_exact, made.port_fixed) == ([(0,)], False, False)


def test_only_a_notice_that_ends_a_session_must_be_there() -> None:
    needed = {str(each) for each in Notice if not KEYS[f"notices.{each}"].without}
    assert needed == set(ENDINGS)
    assert KEYS["notices.joined"].without == "members are not told"


def test_notices_are_told_by_a_form_that_holds_the_sentence() -> None:
    toml = text_dialect() + '\nhost_quit = "You closed {room}"\n[notice]\nfields = ["hex 00", "sentence"]\n'
    made = parse(toml, "mine.toml")
    assert made.host_quit is not None
    assert made.host_quit.sentences == ("You closed {room}",)
    assert made.notices[Notice.LEFT].form.items == (Constant(b"\0"), Text(Role.SENTENCE))
    assert dialect("text").notices[Notice.LEFT].form.items == (Text(Role.SENTENCE),)
    assert dialect("text").host_quit is None


def test_a_brace_that_opens_nothing_is_part_of_a_sentence() -> None:
    made = parse(text_dialect().replace("{name} left the room", "nobody} {left {name}"), "mine.toml")
    assert made.notices[Notice.LEFT].sentences == ("nobody} {left {name}",)


def test_an_unknown_dialect_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        dialect("klingon")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("""fields = ["'{name}: {text}'"]""", "", 29, "relay.fields: missing"),
        ("""fields = ["'{name}: {text}'"]""", "feilds = ['text']", 30, "relay.feilds: unknown key; did you mean"),
        ("{name}: {text}", "{name: {text}", 30, "relay.fields: {name has no '}'"),
        ("{name} left the room", "{name left", 37, "notices.left: {name has no '}'"),
        ('room_closed = "Room closed"', "", 36, "notices.room_closed: missing: every session must be told why"),
        ('learned_from = "datagram"', 'learned_from = "x"', 24, "port.learned_from: 'x' is none of request, trailer"),
        ('learned_from = "datagram"', 'learned_from = "request"', 24, "the request carries no port"),
        ('"tcrp-dialect/2"', '"tcrp-dialect/1"', 2, "format: 'tcrp-dialect/1' is not 'tcrp-dialect/2'"),
        ("state = 0", "", 7, "request: state has no value; write 'state: u1 = 0' or state = 0"),
        ("state = 0", "stat = 0", 8, "request.stat: unknown key; did you mean state?"),
        ("state = 0", "state = [1, 256]", 7, "request: state: 256 does not fit in 1 bytes"),
        ("state = 0", "state = -1", 7, "request: state: -1 does not fit in 1 bytes"),
        ("state = 0", "state = []", 8, "request.state: a number, or a list of numbers, is expected"),
        ("state = 0", "state = [0, true]", 8, "request.state: a number, or a list of numbers, is expected"),
        ("state = 0", "state = 256", 7, "request: state: 256 does not fit in 1 bytes"),
        ("state = 0", "state = 0\ncolour = 1", 9, "request.colour: unknown key; known are create, fields, frame"),
        ("state = 0", "state = 0\ncolour = true", 9, "request.colour: unknown key"),
        ('payload = ["name"]', 'payload = ["nme"]', 9, "request.payload: 'nme' is no field; did you mean name?"),
        ('payload = ["name"]', 'payload = ["port: u2"]', 7, "request: no name: a request without it cannot be served"),
        ('payload = ["name"]', 'payload = ["name", "text"]', 7, "two fields of open length side by side: name and"),
        ('payload = ["name"]', 'payload = ["name", "@tail"]', 9, "there is no part 'tail'"),
        ('payload = ["name"]', 'payload = ["name: fixed 0"]', 9, "name: a width of 0 bytes; 1 to 4096 are possible"),
        ('payload = ["name"]', 'payload = ["name: fixed 9 pad hex 0000"]', 9, "one byte is expected behind 'pad'"),
        ('payload = ["name"]', 'payload = ["name: until hex 0g"]', 9, "'0g' is not made of pairs of hexadecimal"),
        ('payload = ["name"]', 'payload = ["name", "port"]', 9, "port needs a form, as 'port: u2'"),
        ('payload = ["name"]', "payload = []", 7, "no name"),
        ('payload = ["name"]', "payload = [1]", 9, "1 is no field: a string or a table is expected"),
        ('payload = ["name"]', 'payload = { user = "{nam}" }', 9, "{nam} is no field; did you mean name?"),
        ('payload = ["token"]', 'payload = ["len(tokn): u1", "token"]', 15, "len(tokn): there is no 'tokn'; did you"),
        ('payload = ["token"]', 'payload = ["token", "len(token): u1"]', 15, "len(token) stands behind token"),
        ('payload = ["token"]', 'payload = ["text"]', 15, "text has no meaning in a completion"),
        ("[port]", "[ports]\nx = 1\n[port]", 23, "ports: unknown key; did you mean"),
        ('words = ["exit", "/exit"]', 'words = [""]', 33, "leave.words: a list of non-empty strings is expected"),
        ("[port]", "[endings]\nmatch = 'regex'\nphrases = ['x']\n[port]", 24, "endings.match: 'regex' is none of"),
        ("[port]", "[endings]\nmatch = 'prefix'\n[port]", 23, "endings.phrases: missing"),
        ("[notices]", "[notices]\nrepeat = 9", 37, "notices.repeat: 9 is not between 1 and 4"),
        ('left = "{name} left the room"', 'left = "{nam} left"', 37, "{nam} is no part of a notice; did you mean"),
        ("[answer]", "[answer]\npause = '1m'", 12, "answer.pause: 1m is longer than 2s"),
        ("[answer]", "[answer]\npause = '2001ms'", 12, "answer.pause: 2001ms is longer than 2s"),
        ("[answer]", "[answer]\npause = 'long'", 12, "answer.pause: a duration such as 10ms or 1.5s is expected"),
        ("[answer]", "[answer]\npause = 3", 12, "answer.pause: 3 is not a string"),
        ("[answer]", "[answer]\nafter = 'head'", 12, "answer.after: an answer to the head can say nothing of the req"),
        ('sentence = "Plain', 'sentense = "Plain', 4, "sentense: unknown key; did you mean sentence?"),
        ('"operation: u1", "state', '"state', 7, "request: nothing tells creating from joining: it has no operation"),
        ("[request]", "[operations]\njoin = 1\n[request]", 8, "operations.join: the same as create"),
        ("[request]", "[operations]\njoin = 4294967296\n[request]", 8, "4294967296 is not between 0 and 4294967295"),
        ("[request]", "[operations]\njoin = -1\n[request]", 8, "operations.join: -1 is not between 0 and 4294967295"),
        ("[request]", "[operations]\njoin = true\n[request]", 8, "operations.join: True is not a number"),
        ("[request]", "[operations]\nleave = 3\n[request]", 8, "leave: unknown key; known are create, join, list"),
        ("frame = [", "frames = [", 5, "frames: unknown key; did you mean frame?"),
        ('payload = ["name"]', "", 7, "request.payload: missing: fields, or a payload within the frame"),
        ('payload = ["name"]', "fields = ['name']\nframe = ['room']", 9, "frame and payload do not go with them"),
        ('payload = ["name"]', "fields = ['name']\npayload = ['room']", 9, "frame and payload do not go with them"),
        ("[port]", "[list.requests]\nfields = ['room']\n[port]", 23, "list.requests: unknown key; did you mean"),
        ("repeats = true", "repeats = 1", 34, "leave.repeats: 1 is not true or false"),
        ("words = [", "word = [", 33, "leave.word: unknown key; did you mean words?"),
        ("words = [", "words = 'exit' #[", 33, "leave.words: 'exit' is not a list"),
        ('learned_from = "datagram"', "learned_from = 3", 24, "port.learned_from: 3 is not a string"),
        ("[notices]", "[notices]\nleeft = 'gone'", 37, "notices.leeft: unknown key; did you mean left?"),
        ('left = "{name} left the room"', "left = []", 37, "left: a sentence, a list of sentences, or {fields ="),
        ('left = "{name} left the room"', "left = ['']", 37, "left: a sentence, a list of sentences, or {fields ="),
        ('left = "{name} left the room"', "left = 3", 37, "left: a sentence, a list of sentences, or {fields ="),
        ('left = "{name} left the room"', "left = ['x', 3]", 37, "left: a sentence, a list of sentences, or {fields ="),
        ("[port]", "[list_request]\n[port]", 23, "list_request: unknown key; did you mean request?"),
        ('payload = ["name"]', 'payload = [\n"name", "room",\n"nme"]', 11, "'nme' is no field; did you mean"),
        ('payload = ["name"]', 'payload = ["n\\u006de"]', 9, "request.payload: 'nme' is no field; did you mean name?"),
        ("[refusal]", "[refusal.rom_full]\nstate = 1\n[refusal]", 19, "rom_full: unknown key; did you mean room_full?"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_key(old: str, new: str, line: int, said: str) -> None:
    toml = text_dialect()
    assert old in toml
    with pytest.raises(DialectError) as error:
        parse(toml.replace(old, new, 1), "mine.toml")
    assert said in str(error.value)
    assert str(error.value).startswith(f"mine.toml:{line}: ")


@pytest.mark.parametrize(
    ("request_fields", "reply_fields", "said"),
    [
        ("'room'", "'rooms: separated hex 0a'", "list.request: its end is open: a server could not tell whether it is"),
        ("'operation: u1', 'name: until hex 00'", "'rooms: separated hex 0a'", "name has no meaning in a list.request"),
        ("'operation: u1'", None, "list.reply: missing"),
        (None, "'rooms: separated hex 0a'", "list.request: missing"),
        ("'operation: u1'", "'operation: u1'", "list.reply: no rooms: a list.reply without it cannot be served"),
        ("'operation: u1'", "'rooms: separated hex 0a'", None),
    ],
)
def test_a_list_is_a_question_whose_end_is_known_and_a_reply_with_rooms(
    request_fields: str | None, reply_fields: str | None, said: str | None
) -> None:
    tables = {"request": request_fields, "reply": reply_fields}
    toml = "".join(f"[list.{key}]\nfields = [{fields}]\n" for key, fields in tables.items() if fields is not None)
    if said is None:
        assert parse(text_dialect() + toml, "mine.toml").lists
        return
    with pytest.raises(DialectError, match=re.escape(said)):
        parse(text_dialect() + toml, "mine.toml")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[request", "mine.toml: not valid TOML: Expected"),
        ("", "mine.toml: format: missing; write format = 'tcrp-dialect/2'"),
        ("a = " + "[" * 100_000 + "]" * 100_000, "mine.toml: its tables are nested too deep"),
        ("#" * (FILE_BYTES_MAX + 1), "mine.toml: 262145 characters; a dialect's file has at most 262144"),
        ("#" * FILE_BYTES_MAX, "mine.toml: format: missing"),
        ("#" * 10_000_000, "mine.toml: 10000000 characters; a dialect's file has at most 262144"),
    ],
)
def test_what_is_no_dialects_file_is_said_so(toml: str, said: str) -> None:
    with pytest.raises(DialectError) as error:
        parse(toml, "mine.toml")
    assert str(error.value).startswith(said)


def test_parts_that_contain_each_other_are_an_error() -> None:
    parts = '\n[parts]\na = ["@b"]\nb = ["@a"]\n'
    with pytest.raises(DialectError, match=r"parts\.b: parts that contain each other|parts\.a: parts that contain"):
        parse(text_dialect() + parts, "mine.toml")


def test_an_error_in_the_last_line_names_that_line() -> None:
    toml = text_dialect() + "[parts]\na = [\n'room',\n'rom']"
    with pytest.raises(DialectError) as error:
        parse(toml, "mine.toml")
    assert str(error.value).startswith(f"mine.toml:{len(toml.splitlines())}: parts.a: 'rom' is no field")


def test_a_part_stands_for_its_fields() -> None:
    toml = text_dialect().replace('"len(payload): u29", "room", "payload"]', '"@rest"]')
    made = parse(toml + '\n[parts]\nrest = ["len(payload): u29", "room", "payload"]\n', "mine.toml")
    assert made.request == dialect("text").request


def test_a_ninth_dialect_needs_only_a_file() -> None:
    ninth = parse(text_dialect().replace('name = "text"', 'name = "shout"').replace("{name}: ", "{name}!! "), "shout")
    assert ninth.name == "shout"
    assert ninth.relay.items[0] == Text(Role.NAME, until=b"!! ")


# --- special cases of a message ----------------------------------------------------------------------


def test_a_special_case_says_only_in_what_it_differs() -> None:
    made = parse(text_dialect() + '\n[completion.join]\npayload = ["token: fixed 32", "members: u2"]\n', "mine.toml")
    assert made.completion[Operation.CREATE] == dialect("text").completion[Operation.CREATE]
    assert set(roles_of(made.completion[Operation.JOIN])) - set(roles_of(made.completion[Operation.CREATE])) == {
        Role.MEMBERS
    }
    assert [each.values for each in numbers(made.completion[Operation.JOIN].items) if each.label == "state"] == [(2,)]


def test_both_operations_have_one_message_where_nothing_differs() -> None:
    made = dialect("text")
    assert made.completion[Operation.CREATE] is made.completion[Operation.JOIN]


def test_fields_of_a_special_case_replace_frame_and_payload() -> None:
    toml = text_dialect().replace("[refusal]\nstate = 1\n", "[refusal]\n")
    toml = toml.replace('"state: u1"', '"state: u1 = 1 or any"').replace("state = 0\n", "").replace("state = 1\n", "")
    made = parse(toml.replace("state = 2\n", "") + '\n[refusal.room_full]\nfields = ["reason"]\n', "mine.toml")
    assert set(roles_of(made.refusals[Reason.ROOM_FULL].frame)) == {Role.REASON}
    assert Role.STATUS in roles_of(made.refusals[Reason.NAME_TAKEN].frame)


def test_the_payload_of_a_special_case_replaces_fields() -> None:
    toml = text_dialect().replace('[completion]\nstate = 2\npayload = ["token"]', '[completion]\nfields = ["token"]')
    made = parse(toml + '\n[completion.create]\nstate = 2\npayload = ["token"]\n', "mine.toml")
    assert made.completion[Operation.JOIN].items == (Text(Role.TOKEN),)
    assert made.completion[Operation.CREATE] == dialect("text").completion[Operation.CREATE]


def test_a_special_case_that_names_neither_keeps_the_common_fields() -> None:
    toml = text_dialect().replace(
        '[completion]\nstate = 2\npayload = ["token"]', '[completion]\nfields = ["state: u1", "token"]'
    )
    made = parse(
        toml.replace("[port]", "[completion.join]\nstate = 5\n[completion.create]\nstate = 4\n[port]"), "mine.toml"
    )
    assert made.completion[Operation.JOIN].items == (Number("state", 1, values=(5,)), Text(Role.TOKEN))
    assert made.completion[Operation.CREATE].items == (Number("state", 1, values=(4,)), Text(Role.TOKEN))


def test_an_answer_to_the_head_may_not_speak_of_the_request_in_one_operation_only_either() -> None:
    toml = text_dialect().replace(
        '[answer]\nstate = 1\npayload = ["status: u1"]', "[answer]\nafter = 'head'\nfields = ['hex 01']"
    )
    assert parse(toml, "mine.toml").answers_head
    with pytest.raises(DialectError, match="an answer to the head can say nothing of the request"):
        parse(toml.replace("[completion]", "[answer.join]\nfields = ['room']\n[completion]"), "mine.toml")


def test_a_refusal_has_the_status_and_the_word_of_its_reason() -> None:
    made = parse(text_dialect() + '\n[status]\nroom_full = 77\n[words]\nroom_full = "FULL"\n', "mine.toml")
    assert (made.refusals[Reason.ROOM_FULL].status, made.refusals[Reason.ROOM_FULL].word) == (77, "FULL")
    assert made.refusals[Reason.NAME_TAKEN].status == dialect("text").refusals[Reason.NAME_TAKEN].status


def test_a_second_frame_of_refusals_is_only_where_the_file_has_one() -> None:
    assert dialect("text").refusals[Reason.ROOM_FULL].then is None
    then = dialect("json-name").refusals[Reason.ROOM_FULL].then
    assert then is not None
    assert then != dialect("json-name").refusals[Reason.ROOM_FULL].frame


def test_a_status_that_a_message_leaves_open_is_that_of_success_except_in_refusals() -> None:
    made = parse(text_dialect() + "\n[status]\ndone = 9\n", "mine.toml")
    assert made.answer is not None
    answers = [each for each in numbers(made.answer[Operation.JOIN].items) if each.label == "status"]
    refusals = [each for each in numbers(made.refusals[Reason.ROOM_FULL].frame.items) if each.label == "status"]
    assert [each.values for each in answers] == [(9,)]
    assert [each.values for each in refusals] == [()]


# --- what ends a client ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "ending", "not_ending"),
    [
        (Match.WHOLE, ["bye", "end"], ["byes", "good bye", "", "goodend"]),
        (Match.PREFIX, ["bye", "byes", "ends"], ["good bye", ""]),
        (Match.CONTAINS, ["bye", "good bye", "the end."], ["by e", ""]),
    ],
)
def test_a_phrase_ends_a_client_whole_at_the_beginning_or_anywhere(
    match: Match, ending: list[str], not_ending: list[str]
) -> None:
    endings = Endings(match, ("bye", "end"))
    assert [text for text in [*ending, *not_ending] if endings.end(text.encode())] == ending
    assert not endings.end(b"\xff")


def test_without_phrases_nothing_ends_a_client() -> None:
    made = parse(text_dialect(), "mine.toml")
    assert not made.endings.end(b"")
    assert not made.endings.end(b"bye")


@pytest.mark.parametrize("more", [0, 1])
def test_parts_within_parts_have_a_depth(more: int) -> None:
    last = PARTS_DEEP_MAX + more
    parts = "".join(f'p{n} = ["@p{n + 1}"]\n' for n in range(last)) + f'p{last} = ["room"]\n'
    toml = f"{text_dialect()}\n[parts]\n{parts}"
    if more:
        with pytest.raises(DialectError, match="parts that contain each other"):
            parse(toml, "mine.toml")
    else:
        assert parse(toml, "mine.toml").name == "text"
