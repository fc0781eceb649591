"""What a user sees of one room: texts, notices, and which members are known of."""

from __future__ import annotations

import re

from tcrp.cli.i18n import _
from tcrp.cli.screen import Screen
from tcrp.engine.codec import Codec
from tcrp.engine.outputs import NoticeReceived, TextReceived, WordsReceived
from tcrp.spec.names import Notice

NOBODY = "?"
"""Whose a text is where the server's dialect names nobody."""


class RoomView:
    """Shows the texts and notices of a room, and remembers which members were heard of."""

    def __init__(self, screen: Screen, codec: Codec, room: str, name: str, *, saw_beginning: bool) -> None:
        self._screen = screen
        self._room = room
        self._name = name
        # Whoever creates a room hears of everyone who comes, where the dialect tells.
        self._knows_all = saw_beginning and Notice.JOINED in codec.dialect.notices
        self._here: dict[str, None] = {name: None}
        self._is_entered = False

    @property
    def others(self) -> list[str]:
        """The other members who are known of."""
        return [name for name in self._here if name != self._name]

    @property
    def is_alone(self) -> bool:
        """Whether there is certainly nobody else."""
        return self._knows_all and not self.others

    def enter(self) -> None:
        """Say that the user is in the room, once."""
        if self._is_entered:
            return
        self._is_entered = True
        hint = " " + _("Type /help for help.") if self._screen.can_offer else ""
        self._screen.note(_("You are in {room} as {name}.").format(room=self._room, name=self._name) + hint)

    def hear(self, effect: TextReceived | NoticeReceived | WordsReceived) -> None:
        """Show a text or a notice. The notice that ends the session is shown by the caller."""
        match effect:
            case TextReceived(name, text):
                self.enter()
                if name:
                    self._here[name] = None
                self._screen.text(name or NOBODY, text, mention_of(self._name, text))
            case NoticeReceived(Notice.JOINED, name):
                self._here[name] = None
                self._note(_("{name} joined").format(name=name))
            case NoticeReceived(Notice.LEFT, name):
                self._here.pop(name, None)
                self._note(_("{name} left").format(name=name))
            case WordsReceived(text):
                self._note(_("The server says: {words}").format(words=text))

    def _note(self, text: str) -> None:
        self.enter()
        self._screen.note(text)

    def who(self) -> str:
        """The members who were heard of, as a message."""
        names = ", ".join(self._here)
        if self._knows_all:
            return _("In {room}: {names}").format(room=self._room, names=names)
        return _("Known so far: {names}. Members who have said nothing are not listed.").format(names=names)

    def host_warning(self) -> str:
        """What a host who is about to leave should know."""
        if others := self.others:
            return _(
                "You are the host: leaving closes {room} for all others ({number} known). Do it again to leave."
            ).format(room=self._room, number=len(others))
        return _("You are the host: leaving closes {room} for everyone in it. Do it again to leave.").format(
            room=self._room
        )


def mention_of(name: str, text: str) -> tuple[int, int] | None:
    """Where `text` speaks of `name`, as a word of its own; capitals do not matter."""
    # A letter beside it would make it another word. Japanese has no blanks: there a name is found anywhere.
    edge = (r"(?<!\w)", r"(?!\w)") if name.isascii() else ("", "")
    found = re.search(edge[0] + re.escape(name) + edge[1], text, re.IGNORECASE)
    return found.span() if found is not None else None
