"""How messages, leases and snapshots grow with the servers of a cluster, in simulation, beside what is reckoned.

    python -m bench.many_servers

A room of ten for each server, whose members come by all servers in turn; each says a text every ten seconds. What is
counted in `SECONDS` of simulated time is told as a rate, for one text or for one server. `docs/performance.md` reckons
with the same formulas what a thousand servers would do.
"""

from __future__ import annotations

from collections import Counter

from bench.results import Found
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import PacketKind
from tcrp.trace.records import PacketRecord, Record

SERVERS = (2, 4, 8, 16)
MEMBERS, EVERY_S = 10, 10
BEGINS_S, SECONDS = 20, 60
LEASE_S = 5
RENEWALS = 3  # of a lease


def scenario_of(servers: int) -> str:
    """The scenario, in YAML."""
    names = [f"n{number}" for number in range(servers)]
    near = "{delay: 1ms, loss: 0%}"
    users, steps = [], []
    for room in range(servers):
        for member in range(MEMBERS):
            user = f"u{room}x{member}"
            users.append(f"{user}: {{server: n{(room + member) % servers}}}")
            joins = f"join: r{room}" if member else f"create: r{room}"
            steps.append((1000 * (1 + bool(member)) + 10 * member + room, f"{user}: {{{joins}}}"))
            for turn in range(SECONDS // EVERY_S):
                # Evenly over the seconds: so a room has something to save each second.
                at_ms = 1000 * (BEGINS_S + turn * EVERY_S) + 1000 * EVERY_S * member // MEMBERS + room
                steps.append((at_ms, f'{user}: {{say: "{turn}"}}'))
    lines = [
        "claim: many servers", f"server: {{cluster_lease: {LEASE_S}s}}", f"until: {BEGINS_S + SECONDS}s",
        f"servers: {{{', '.join(f'{name}: {{}}' for name in names)}}}", f"network: {{default: {near}}}",
        f"users: {{{', '.join(users)}}}", "script:",
        *(f"  - {{at: {at_ms}ms, {what}}}" for at_ms, what in sorted(steps)),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def counted(servers: int) -> Counter[str]:
    """What was sent between servers, and to and from the bucket, in `SECONDS`."""
    sent: Counter[str] = Counter()

    def hear(record: Record) -> None:
        if isinstance(record, PacketRecord) and record.kind == "send" and record.t_us >= BEGINS_S * 1_000_000:
            sent[record.what] += 1

    verdict = Run(read_scenario_text(scenario_of(servers)), listeners=[hear]).go()
    assert verdict.violation is None, "every property holds"
    return sent


def main() -> None:
    """Print and write the figures."""
    found = Found("many-servers")
    for servers in SERVERS:
        sent = counted(servers)
        texts = servers * MEMBERS * SECONDS // EVERY_S
        by_server = Counter(member % servers for member in range(MEMBERS))  # of a room, the owner's first
        elsewhere = 1 - by_server[0] / MEMBERS
        # A text to the owner, unless its speaker is there; what is relayed, once to each other gateway of a receiver.
        reckoned = elsewhere + sum(
            sum(1 for gateway, its in by_server.items() if gateway and its > (gateway == speaker))
            * by_server[speaker] / MEMBERS
            for speaker in by_server
        )  # fmt: skip
        what = f"{servers} servers"
        between = sent[PacketKind.FORWARD] + sent[PacketKind.OUTPUT]
        found.figure(f"{what}: for a text", between / texts, "messages", ("reckoned", reckoned))
        asks = RENEWALS / LEASE_S + 1  # its lease, and a room to save; a save may hold two texts
        found.figure(f"{what}: asks of the bucket, for each server", sent["ask"] / SECONDS / servers, "a second",
                     ("reckoned", asks))  # fmt: skip
        shown = (1 + servers) * RENEWALS / LEASE_S + 1  # the answer to each ask, and every lease to all
        found.figure(f"{what}: what the bucket shows each server", sent["shown"] / SECONDS / servers, "a second",
                     ("reckoned", shown))  # fmt: skip
    print(found.write())


if __name__ == "__main__":
    main()
