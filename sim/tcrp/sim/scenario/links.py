"""The network's words: settings of links, networks by name, and which links are meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from tcrp.sim.scenario import model
from tcrp.sim.scenario.kinds import (
    DATAGRAM_BYTES_MAX,
    DURATION,
    END,
    RATE,
    SEGMENT,
    SHARE,
    Scene,
    Schema,
    Simple,
    Word,
    define,
    duration_us,
    mapping_of,
    whole,
)
from tcrp.sim.scenario.nodes import Value
from tcrp.sim.scenario.presets import PRESETS
from tcrp.sim.scenario.records import Field, Record, defaults_of
from tcrp.spec.durations import PATTERN

PAIR = "two ends, such as [alice, server]"
QUEUE_BYTES_MAX = 1 << 30
EXPONENTIAL = Record(
    model.Exponential, Field("exp", DURATION, into="mean_us"), Field("min", DURATION, into="least_us")
)  # fmt: skip
BURST: Record[Any] = Record(
    dict,
    Field("enter", SHARE, "How likely a calm link turns bad in a slot of 10 ms."),
    Field("leave", SHARE, "How likely a bad link turns calm in a slot of 10 ms."),
    Field("share", SHARE, "What is lost while the link is bad; without it, everything."),
    defaults={"share": 1_000_000},
)


def _delay(value: Value, scene: Scene) -> model.Delay:
    if value.is_mapping:
        return EXPONENTIAL.read(value, scene)
    first, dots, last = value.scalar().partition("..")
    least_us = duration_us(value, first)
    most_us = duration_us(value, last) if dots else least_us
    if most_us < least_us:
        value.fail(f"{value.name}: {first}..{last} ends before it begins")
    return model.Span(least_us, most_us)


def _write_delay(delay: model.Delay) -> Any:
    if isinstance(delay, model.Exponential):
        return EXPONENTIAL.write(delay)
    return "..".join(dict.fromkeys((DURATION.write(delay.least_us), DURATION.write(delay.most_us))))


def _loss(value: Value, scene: Scene) -> model.Loss:
    if not value.is_mapping:
        return model.Loss(SHARE.read(value, scene))
    burst = value.mapping(("burst",), required=("burst",))["burst"]
    parts = BURST.parts(burst)
    given = BURST.from_parts(burst, parts, scene)
    if not given["leave"]:
        parts["leave"].fail("leave: 0% means that the burst never ends; write loss: 100%")
    return model.Loss(given.get("share", 1_000_000), model.Burst(given["enter"], given["leave"]))


def _write_loss(loss: model.Loss) -> Any:
    if loss.burst is None:
        return SHARE.write(loss.share_ppm)
    shares = {"enter": loss.burst.enter_ppm, "leave": loss.burst.leave_ppm, "share": loss.share_ppm}
    return {"burst": {word: SHARE.write(ppm) for word, ppm in shares.items()}}


def _over_preset(preset: model.LinkPatch | None = None, **given: Any) -> model.LinkPatch:
    return replace(preset or model.LinkPatch(), **given)


_SPAN: Schema = {"type": "string", "pattern": rf"^{PATTERN.pattern}(\.\.{PATTERN.pattern})?$"}
DELAY = define("delay", Simple(_delay, {"oneOf": [_SPAN, EXPONENTIAL.schema()]}, _write_delay),
               "How long a packet travels: always the same, drawn evenly between two ends, or drawn exponentially: "
               "`min` plus a delay of mean `exp`.", "5ms..20ms")  # fmt: skip
LOSS = Simple(_loss, {"oneOf": [SHARE.schema(), mapping_of({"burst": {
    **BURST.schema(), "description": "Losses in bursts: the share of datagrams after which a burst begins, and ends, "
    "and the share that is lost in one."}}, ["burst"])]}, _write_loss)  # fmt: skip
SETTINGS = define(
    "link_settings",
    Record(
        _over_preset,
        Field("preset", Word(PRESETS), "All settings of a well-known network; others beside it go "
              "over them. It may stand alone: `default: mobile`.", "{preset: mobile, mtu: 1200}", is_bare=True),
        Field("delay", DELAY, "How long a packet travels.", "{delay: {exp: 20ms, min: 5ms}}"),
        Field("loss", LOSS, "The share of datagrams that is lost, always or only in bursts.",
              "{loss: {burst: {enter: 2%, leave: 30%, share: 90%}}}"),
        Field("duplicate", SHARE, "The share of datagrams that arrives twice.", "{duplicate: 1%}", "duplicate_ppm"),
        Field("reorder", Record(model.Reorder, Field("share", SHARE, into="share_ppm", is_bare=True),
                                Field("by", DURATION, "Without it, 10ms.", into="by_us")),
              "The share of datagrams that is held back, and for how long.", "{reorder: {share: 4%, by: 50ms}}"),
        Field("corrupt", SHARE, "The share of datagrams with one bit flipped.", "{corrupt: 0.5%}", "corrupt_ppm"),
        Field("mtu", whole(1, DATAGRAM_BYTES_MAX), "The largest datagram in bytes; larger ones are dropped.",
              "{mtu: 1200}", "mtu_bytes"),
        Field("rate", RATE, "How many bits a second get onto the link.", "{rate: 1500kbit/s}", "rate_bps"),
        Field("queue", whole(1, QUEUE_BYTES_MAX), "How many bytes may wait for a link with a rate; more are dropped. "
              "On an idle link nothing waits.",
              "{rate: 8Mbit/s, queue: 9000}", "queue_bytes"),
        Field("segment", SEGMENT, "Into pieces of how many bytes TCP's bytes are cut.", "{segment: 1..64}"),
        if_empty="at least one setting is expected",
        defaults={**defaults_of(model.LinkPatch), "preset": None},
    ),
    "Settings of a link, or the name of a preset.",
    "{delay: 30ms, loss: 2%}",
)  # fmt: skip


def _write_default(settings: model.LinkSettings) -> Any:
    named = settings.as_patch().as_written().items()
    changed = {name: held for name, held in named if held != getattr(model.ORDINARY, name)}
    return SETTINGS.write(model.LinkPatch(**changed))


def _link_rows(value: Value, scene: Scene) -> tuple[model.LinkRule, ...]:
    """Rows of `{from: END, to: END, …settings…}`; one of a crowd stands for a rule for each member."""
    rules: list[model.LinkRule] = []
    for row in value.items():
        row.name = "link"
        parts = row.mapping(("from", "to", *SETTINGS.keys), required=("from", "to"))
        links = scene.cast.links((parts.pop("from"), parts.pop("to")), both_ways=False)
        settings = SETTINGS.from_parts(row, parts, scene)
        rules += [model.LinkRule(link, settings, row.place) for link in links]
    return tuple(rules)


_ENDS: Schema = {"from": END.schema(), "to": END.schema()}
_PAIR: Schema = {"type": "array", "items": END.schema(), "minItems": 2, "maxItems": 2,
                 "description": "The two ends of links, in both directions."}  # fmt: skip
_ROW: Schema = {**mapping_of(_ENDS | SETTINGS.mapping_shape()["properties"], _ENDS), "minProperties": 3}
NETWORK_SETTINGS = Record(
    model.NetworkSettings,
    Field("default", Simple(lambda value, scene: model.ORDINARY.patched(SETTINGS.read(value, scene)), SETTINGS.schema(),
                            _write_default),
          "The settings of every link; without it, `delay: 10ms` and no losses.", "{default: {delay: 5ms..20ms}}"),
    Field("links", Simple(_link_rows, {"type": "array", "items": _ROW}, lambda rules: [
                          {**write_ends((rule.link,)), **SETTINGS.write(rule.settings)} for rule in rules]),
          "Settings of single links over the default; later rows go over earlier ones.",
          "{links: [{from: bob, to: server, delay: 30ms}]}"),
)  # fmt: skip


# --- which links -------------------------------------------------------------------------------


def _links(value: Value, scene: Scene) -> tuple[model.LinkId, ...]:
    if value.is_list:
        return scene.cast.links(_two_ends(value), both_ways=True)
    if not value.is_mapping:
        value.fail(f"{value.name}: {PAIR} or {{from: alice, to: server}} is expected, but this is {value.kind}")
    parts = value.mapping(_ENDS, required=_ENDS)
    return scene.cast.links((parts["from"], parts["to"]), both_ways=False)


class LinksBeside(Field):
    """`between: [a, b]`, or `from: a` and `to: b`, beside the verb."""

    @property
    def words(self) -> tuple[str, ...]:
        return ("between", "from", "to")

    def read(self, parts: Mapping[str, Value], whole: Value, scene: Scene) -> Any:
        match [word for word in self.words if word in parts]:
            case ["between"]:
                return scene.cast.links(_two_ends(parts["between"]), both_ways=True)
            case ["from", "to"]:
                return scene.cast.links((parts["from"], parts["to"]), both_ways=False)
        return whole.fail(self.if_missing)

    def write(self, value: Any) -> dict[str, Any]:
        return write_ends(value)

    def properties(self) -> dict[str, Schema]:
        return {"between": _PAIR, **_ENDS}


def _two_ends(value: Value) -> tuple[Value, Value]:
    items = value.items()
    if len(items) != 2:
        value.fail(f"{value.name}: {PAIR} are expected, but there are {len(items)}")
    return items[0], items[1]


def write_ends(links: tuple[model.LinkId, ...]) -> dict[str, Any]:
    """The ends of one link, or of one each way: what a file can name in one row."""
    first = links[0]
    if len(links) == 1:
        return {"from": first.source, "to": first.target}
    if links[1:] != (model.LinkId(first.target, first.source),):
        raise ValueError(f"{len(links)} links of a crowd cannot be written in one row: {first.source!r} …")
    return {"between": [first.source, first.target]}


LINKS = define("links", Simple(_links, {"oneOf": [_PAIR, mapping_of(_ENDS, _ENDS)]},
                               lambda links: (ends := write_ends(links)).get("between", ends)),
               "The links between two ends, both ways or one way; one of the two is `server` (in a cluster, a server) "
               "or `all`.",
               "[alice, server]")  # fmt: skip
