"""The section `explore:`: within which bounds every order of events is visited."""

from __future__ import annotations

from tcrp.sim.scenario.kinds import TRUTH, whole
from tcrp.sim.scenario.model import Explore
from tcrp.sim.scenario.records import Field, Record

USERS_MAX = 8
BUDGET_MAX = 15  # a budget takes four bits of a state
EXPLORE: Record[Explore] = Record(
    Explore,
    Field("users", whole(1, USERS_MAX), "Without a script: how many users there are. The first creates the room lobby, "
          "the others join it; each may leave at any moment."),
    Field("texts", whole(0, BUDGET_MAX), "Without a script: how many texts are said in all, by whichever members."),
    Field("drops", whole(0, BUDGET_MAX), "How many datagrams may be lost."),
    Field("duplicates", whole(0, BUDGET_MAX), "How many datagrams may arrive twice."),
    Field("races", whole(0, BUDGET_MAX), "How often a deadline may pass although a packet is under way or a shorter "
          "deadline is still to come."),
    Field("crashes", whole(0, BUDGET_MAX), "How often the server may crash; it starts again at once."),
    Field("attacker", TRUTH, "Whether an attacker steals a token and sends a text and a leave word with it."),
    Field("repeats", whole(0, BUDGET_MAX), "How often a client or the server sends again what it sends repeatedly; "
          "without it, as often as `drops`, and at least once."),
    may_be_nothing=True,
)  # fmt: skip
