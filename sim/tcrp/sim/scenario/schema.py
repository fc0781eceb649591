"""The JSON Schema of scenarios, for editors. Built from the reader's own tables of words, so the two cannot differ.

A schema knows words and shapes; who is declared and what fits together, only the reader knows.
`python -m tcrp.sim.scenario.schema` prints it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tcrp.sim.scenario.actions import AFTER, ALONE, ATTACKER_VERBS, NETWORK_VERBS, SERVER_VERBS, USER_VERBS
from tcrp.sim.scenario.cast import CROWD_MAX, NETWORK, RESERVED, SERVER, USER_KEYS
from tcrp.sim.scenario.expectations import RECORD_KEYS, STATES, USER_CLAIMS
from tcrp.sim.scenario.links import PRESET, QUEUE_BYTES_MAX
from tcrp.sim.scenario.links import SETTINGS as SETTINGS_OF_LINKS
from tcrp.sim.scenario.presets import PRESETS
from tcrp.sim.scenario.reader import KEYS, SEED_MAX, TIMES_MAX
from tcrp.sim.scenario.scalars import COUNT, DRIFT, PER_SECOND, RATE, REPEATED_BYTES_MAX, SHARE
from tcrp.spec.dialects import NAMES
from tcrp.spec.durations import PATTERN as DURATION
from tcrp.spec.limits import SETTINGS, Setting, Unit
from tcrp.spec.names import Counter, Machine, Notice, PacketKind, Property, Reason, Rule, SessionState

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TRUTH: Schema = {"type": "boolean"}


def schema() -> Schema:
    """The schema of `tcrp-scenario/1`."""
    keys: Schema = {
        "claim": {"type": "string", "minLength": 1, "description": "one sentence, which is true if the scenario holds"},
        "covers": _list(_words(Rule)),
        "seed": {"type": "integer", "minimum": 0, "maximum": SEED_MAX},
        "until": _ref("duration"),
        "server": _mapping(
            {**{name: _setting(each) for name, each in SETTINGS.items()}, "dialect": _words(("auto", *NAMES))}
        ),
        "users": {"type": "object", "propertyNames": {"not": _words(RESERVED)}, "additionalProperties": _user()},
        "network": _mapping({"default": _ref("link_settings"), "links": _list(_link_row())}),
        "script": _list(_step()),
        "expect": _list(_expectation()),
        "leave_out": _list(_mapping({"property": _words(Property), "reason": TEXT}, required=("property", "reason"))),
    }
    assert set(keys) == set(KEYS), "the schema has the reader's keys"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tcrp-scenario/1",
        **_mapping(keys, required=("claim",)),
        "$defs": {
            "duration": {"type": "string", "pattern": f"^-?{DURATION.pattern}$"},
            "delay": {
                "oneOf": [
                    {"type": "string", "pattern": rf"^{DURATION.pattern}(\.\.{DURATION.pattern})?$"},
                    _mapping({"exp": _ref("duration"), "min": _ref("duration")}, required=("exp",)),
                ]
            },
            "share": {"type": "string", "pattern": f"^{SHARE.pattern}$"},
            "amount": {
                "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{COUNT.pattern}$"}],
            },
            "text": {
                "oneOf": [TEXT, _mapping({"repeat": TEXT, "bytes": {"type": "integer"}}, required=("repeat", "bytes"))]
            },
            "hex": {"type": "string", "pattern": "^([0-9a-fA-F]{2}|\\s)*$"},
            "link_settings": {"oneOf": [_words(PRESETS), {**_mapping(_link_settings()), "minProperties": 1}]},
            "room": {
                "oneOf": [TEXT, _mapping({"room": TEXT, "password": _ref("text")}, required=("room",))],
            },
            "links": {
                "oneOf": [
                    {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2},
                    _mapping({"from": TEXT, "to": TEXT}, required=("from", "to")),
                ]
            },
            "state_claim": {"oneOf": [*_machine_claims(), {"type": "object", "maxProperties": 1, "minProperties": 1,
                                      "additionalProperties": _words(SessionState)}]},
        },
    }  # fmt: skip


def _words(words: Iterable[str]) -> Schema:
    return {"enum": [str(word) for word in words]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _mapping(keys: Schema, *, required: Iterable[str] = ()) -> Schema:
    return {"type": "object", "properties": keys, "required": list(required), "additionalProperties": False}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _setting(setting: Setting) -> Schema:
    if setting.unit is Unit.CHOICE:
        return {**_words(setting.choices), "description": setting.help}
    if setting.unit is Unit.DURATION:
        return {**_ref("duration"), "description": setting.help}
    return {"type": "integer", "minimum": setting.least, "maximum": setting.most, "description": setting.help}


def _user() -> Schema:
    keys = {
        "name": TEXT,
        "dialect": _words(NAMES),
        "address": TEXT,
        "attacker": TRUTH,
        "count": {"type": "integer", "minimum": 1, "maximum": CROWD_MAX},
        "allow_invalid": TRUTH,
    }
    assert set(keys) == set(USER_KEYS), "the schema has the reader's keys"
    return {"anyOf": [_mapping(keys), {"type": "null"}]}


def _link_settings() -> Schema:
    burst = _mapping(dict.fromkeys(("enter", "leave", "share"), _ref("share")), required=("enter", "leave"))
    settings: Schema = {
        "delay": _ref("delay"),
        "loss": {"oneOf": [_ref("share"), _mapping({"burst": burst}, required=("burst",))]},
        "duplicate": _ref("share"),
        "reorder": {
            "oneOf": [_ref("share"), _mapping({"share": _ref("share"), "by": _ref("duration")}, required=("share",))]
        },
        "corrupt": _ref("share"),
        "mtu": {"type": "integer", "minimum": 1, "maximum": REPEATED_BYTES_MAX},
        "rate": {"type": "string", "pattern": f"^{RATE.pattern}$"},
        "queue": {"type": "integer", "minimum": 1, "maximum": QUEUE_BYTES_MAX},
        "segment": _ref("amount"),
    }
    assert set(settings) == set(SETTINGS_OF_LINKS), "the schema has the reader's settings"
    return {PRESET: _words(PRESETS), **settings}


def _link_row() -> Schema:
    return _mapping({"from": TEXT, "to": TEXT, **_link_settings()}, required=("from", "to"))


def _step() -> Schema:
    """A row of the script. Whose key it is, is not known here: anybody's may hold any user's verb."""
    return {
        "type": "object",
        "properties": {
            "at": _ref("duration"),
            "in": _ref("duration"),
            "when": _ref("state_claim"),
            "every": _ref("duration"),
            "times": {"type": "integer", "minimum": 1, "maximum": TIMES_MAX},
            "allow_invalid": TRUTH,
            "for": _ref("duration"),
            "between": {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2},
            "from": TEXT,
            "to": TEXT,
            SERVER: _verbs(SERVER_VERBS, _SERVER_WORDS),
            NETWORK: _verbs(NETWORK_VERBS, _NETWORK_WORDS, _COMPANIONS),
        },
        "additionalProperties": _verbs([*USER_VERBS, *ATTACKER_VERBS], _USER_WORDS),
    }  # fmt: skip


def _verbs(verbs: Iterable[str], words: Schema, companions: Schema | None = None) -> Schema:
    names = list(verbs)
    assert set(words) == set(names), "the schema has the reader's verbs"
    alone = [name for name in names if name in ALONE]
    many = {**_mapping({**words, **(companions or {})}), "minProperties": 1}
    if not companions:
        many["maxProperties"] = 1
    return {"oneOf": [_words(alone), many]} if alone else many


_NOTHING: Schema = {"anyOf": [{"type": "null"}, _mapping({})]}
_USER_WORDS: Schema = {
    "create": _ref("room"),
    "join": _ref("room"),
    "say": _ref("text"),
    "keep_alive": _NOTHING,
    "leave": _NOTHING,
    "move": {**_mapping({"port": _words(("new",)), "address": TEXT}), "minProperties": 1, "maxProperties": 1},
    "pause": _ref("duration"),
    "crash": _NOTHING,
    "clock": {
        **_mapping({"skew": _ref("duration"), "drift": {"type": "string", "pattern": f"^{DRIFT.pattern}$"}}),
        "minProperties": 1,
    },
    "datagram": _mapping({"token_of": TEXT, "room": TEXT, "text": _ref("text"), "hex": _ref("hex")}),
    "stream": _mapping({"hex": _ref("hex")}, required=("hex",)),
    "abandon": _mapping(
        {"after": _words(AFTER), "create": _ref("room"), "join": _ref("room")}, required=("after",)
    ),
    "steal_token": TEXT,
    "spoof": _mapping({"as": TEXT, "say": _ref("text")}, required=("as", "say")),
    "replay": _mapping(
        {"from": TEXT, "nth": {"type": "integer", "minimum": 1}, "spoofed": TRUTH}, required=("from", "nth")
    ),
    "flood": _mapping(
        {
            "rate": {"type": "string", "pattern": f"^{PER_SECOND.pattern}$"},
            "for": _ref("duration"),
            "size": {"type": "integer", "minimum": 0, "maximum": REPEATED_BYTES_MAX},
        },
        required=("rate", "for", "size"),
    ),
}  # fmt: skip
_SERVER_WORDS: Schema = {
    "crash": {"anyOf": [{"type": "null"}, _mapping({"restart": _ref("duration")})]},
    "start": _NOTHING,
    "pause": _ref("duration"),
    "shutdown": _NOTHING,
    "remove": _mapping({"user": TEXT, "room": TEXT}, required=("user", "room")),
}
_COMPANIONS: Schema = {"for": _ref("duration"), "between": _list(TEXT), "from": TEXT, "to": TEXT}
_NETWORK_WORDS: Schema = {
    "set": _ref("link_settings"),
    **{verb: _ref("links") for verb in ("cut", "heal", "hold", "release", "stall", "reset")},
}


def _machine_claims() -> list[Schema]:
    return [
        _mapping({machine: TEXT, "state": _words(STATES[machine])}, required=(machine, "state")) for machine in Machine
    ]


def _expectation() -> Schema:
    relay = {"anyOf": [_ref("text"), _mapping({"from": TEXT, "text": _ref("text")}, required=("text",))]}
    relays = {"anyOf": [_list(relay), relay]}
    user_claims: Schema = {
        "state": _words(SessionState),
        "sees": {"anyOf": [relays, _mapping({"count": _ref("amount")}, required=("count",))]},
        "sees_exactly": relays,
        "never_sees": relays,
        "told": {"anyOf": [_words(Notice), _list(_words(Notice))]},
        "refused": _words(Reason),
    }
    assert set(user_claims) == set(USER_CLAIMS), "the schema has the reader's claims"
    records = {kind: _mapping(dict.fromkeys(keys, TEXT)) for kind, keys in RECORD_KEYS.items()}
    return {
        "type": "object",
        "properties": {
            "by": _ref("duration"),
            "at": _ref("duration"),
            "between": {"type": "array", "items": _ref("duration"), "minItems": 2, "maxItems": 2},
            "state": TEXT,
            "count": _ref("amount"),
            "bytes": _ref("amount"),
            SERVER: {**_mapping({counter: _ref("amount") for counter in Counter}), "minProperties": 1},
            "packets": _mapping({"what": _words(PacketKind), "from": TEXT, "to": TEXT}),
            **{str(machine): TEXT for machine in Machine},
            **records,
        },
        "additionalProperties": {**_mapping(user_claims), "minProperties": 1},
    }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1, ensure_ascii=False))  # noqa: T201 (a program)
