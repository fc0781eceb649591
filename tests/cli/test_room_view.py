"""What a member is shown of a room, and whom the client knows of."""

from __future__ import annotations

import pytest

from tcrp.cli.room_view import RoomView, mention_of
from tcrp.engine.codec import codec
from tcrp.engine.outputs import NoticeReceived, TextReceived, WordsReceived
from tcrp.spec.names import Notice


class Paper:
    """A screen whose lines are kept."""

    can_offer = False

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.mentions: list[tuple[int, int] | None] = []

    def text(self, name: str, text: str, mention: tuple[int, int] | None = None) -> None:
        self.lines.append(f"{name}: {text}")
        self.mentions.append(mention)

    def note(self, text: str) -> None:
        self.lines.append(f"* {text}")


@pytest.fixture
def paper() -> Paper:
    return Paper()


def view(paper: Paper, dialect: str = "json", *, saw_beginning: bool = True) -> RoomView:
    return RoomView(paper, codec(dialect), "lobby", "aki", saw_beginning=saw_beginning)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "shown"),
    [
        (TextReceived("bob", "hi", False), "bob: hi"),
        (NoticeReceived(Notice.JOINED, "bob"), "* bob joined"),
        (NoticeReceived(Notice.LEFT, "bob"), "* bob left"),
        (WordsReceived("Welcome"), "* The server says: Welcome"),
    ],
)
def test_whatever_comes_first_stands_below_the_line_that_says_where_the_user_is(
    paper: Paper, first: TextReceived | NoticeReceived | WordsReceived, shown: str
) -> None:
    room = view(paper)
    room.hear(first)
    room.enter()
    assert paper.lines == ["* You are in lobby as aki.", shown]


def test_the_notice_that_ends_the_session_shows_nothing_here(paper: Paper) -> None:
    view(paper).hear(NoticeReceived(Notice.ROOM_CLOSED, ""))
    assert paper.lines == []


def test_who_is_heard_of_is_known_until_they_leave(paper: Paper) -> None:
    room = view(paper)
    assert room.is_alone
    room.hear(NoticeReceived(Notice.JOINED, "ボブ"))
    room.hear(TextReceived("carol", "hi", False))
    assert room.others == ["ボブ", "carol"]
    assert room.who() == "In lobby: aki, ボブ, carol"
    assert "(2 known)" in room.host_warning()
    room.hear(NoticeReceived(Notice.LEFT, "ボブ"))
    room.hear(NoticeReceived(Notice.LEFT, "nobody-known"))
    assert room.others == ["carol"]
    room.hear(NoticeReceived(Notice.LEFT, "carol"))
    assert room.is_alone
    assert "known" not in room.host_warning()


def test_only_who_saw_everybody_come_knows_that_nobody_else_is_there(paper: Paper) -> None:
    for room in (view(paper, saw_beginning=False), view(paper, "text")):  # text has no notice of who joins
        assert not room.is_alone
        assert room.who() == "Known so far: aki. Members who have said nothing are not listed."


def test_a_text_of_nobody_makes_no_member(paper: Paper) -> None:
    room = view(paper)
    room.hear(TextReceived("", "hi", False))
    assert paper.lines[-1] == "?: hi"
    assert room.others == []


def test_a_text_that_mentions_the_user_says_where(paper: Paper) -> None:
    view(paper).hear(TextReceived("bob", "hi AKI!", False))
    assert paper.mentions == [(3, 6)]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("aki", "aki", (0, 3)),
        ("aki", "akira, takaki", None),
        ("aki", "akira and aki", (10, 13)),
        ("aki", "@aki:", (1, 4)),
        ("aki", "aki_2", None),
        ("aki", "", None),
        ("a.c", "abc", None),
        ("a+b", "see a+b.", (4, 7)),
        ("あき", "昨日あきさんが", (2, 4)),
        ("Zoë", "ZOË?", (0, 3)),
    ],
)
def test_a_mention_is_a_word_of_its_own_where_a_language_has_blanks(
    name: str, text: str, found: tuple[int, int] | None
) -> None:
    assert mention_of(name, text) == found
