"""Draws docs/performance-simulator.svg: the simulator's speed over members of a room, rooms and records of a run.

make plots
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.__main__ import play, seconds
from bench.results import Found
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text

TO = Path(__file__).parents[1] / "docs" / "performance-simulator.svg"
ARRIVALS = 5_000
ROOMS = """
claim: members of {rooms} rooms talk all the time
server: {{texts_per_second_max: 1000, rooms_max: 1000, sessions_max: 100000, members_max: 10000,
  sessions_per_ip_max: 10000, connections_per_ip_max: 1000, unentered_rooms_per_ip_max: 1000}}
users:
{users}
script:
{script}
until: 8760h
"""


class Curve(NamedTuple):
    """Measured points, and how they are called."""

    name: str
    colour: str
    points: list[tuple[float, float]]


def rooms_of(members: int, rooms: int, texts: int) -> str:
    """A scenario: so many rooms of so many members, each of whom says so many texts."""
    users, script = [], []
    for room in range(rooms):
        users += [f"  host{room}: {{dialect: text}}", f"  guest{room}: {{count: {members - 1}, dialect: text}}"]
        script += [
            f"  - {{at: 0s, host{room}: {{create: room{room}}}}}", f"  - {{at: 1s, guest{room}: {{join: room{room}}}}}",
            f'  - {{every: 10ms, times: {texts}, at: 30s, host{room}: {{say: "text {{n}}"}}}}',
            f'  - {{every: 10ms, times: {texts}, at: 30s, guest{room}: {{say: "text {{n}}"}}}}',
        ]  # fmt: skip
    return ROOMS.format(rooms=rooms, users="\n".join(users), script="\n".join(script))


def rate(members: int, rooms: int, arrivals: int, *, is_watched: bool) -> float:
    """Arrivals a second of processor time."""
    texts = max(arrivals // (rooms * members * members), 1)
    run = Run(read_scenario_text(rooms_of(members, rooms, texts)), watched=is_watched)
    took = seconds(lambda: play(run))
    return run.world.arrivals / took


def curves(over: Sequence[int], at: Callable[[int, bool], float]) -> list[Curve]:
    """Unobserved, and with every check."""
    bare = [(float(each), at(each, False)) for each in over]
    watched = [(float(each), at(each, True)) for each in over]
    return [Curve("unobserved", "#2a6fb0", bare), Curve("with trace, digest and every check", "#b0452a", watched)]


# --- the picture -------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360, 240, 56, 34, 34


def plot(title: str, unit: str, lines: Sequence[Curve], x: int) -> str:
    """One diagram, logarithmic both ways, whose left edge is at `x`."""
    xs = [point[0] for line in lines for point in line.points]
    ys = [point[1] for line in lines for point in line.points]
    low, high = 10 ** math.floor(math.log10(min(ys))), 10 ** math.ceil(math.log10(max(ys)))

    def at(point: tuple[float, float]) -> tuple[float, float]:
        across = math.log(point[0] / min(xs)) / math.log(max(xs) / min(xs))
        up = math.log(point[1] / low) / math.log(high / low)
        return x + LEFT + across * (WIDTH - LEFT - 20), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{x + LEFT}" y="16" font-weight="bold">{title}</text>']
    tick = low
    while tick <= high:
        y = at((min(xs), tick))[1]
        parts.append(f'<path d="M{x + LEFT} {y:.1f}H{x + WIDTH - 20}" stroke="#8884"/>')
        parts.append(f'<text x="{x + LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,.0f}</text>')
        tick *= 10
    for each in sorted(set(xs)):
        parts.append(
            f'<text x="{at((each, low))[0]:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{each:,.0f}</text>'
        )
    parts.append(f'<text x="{x + WIDTH - 20}" y="{HEIGHT - 4}" text-anchor="end">{unit}</text>')
    for line in lines:
        places = [at(point) for point in line.points]
        way = "L".join(f"{left:.1f} {top:.1f}" for left, top in places)
        parts.append(f'<path d="M{way}" fill="none" stroke="{line.colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" fill="{line.colour}"/>' for left, top in places]
    return "".join(parts)


def picture(plots: Sequence[tuple[str, str, list[Curve]]]) -> str:
    """All diagrams beside each other, with one legend."""
    drawn = "".join(plot(title, unit, lines, number * WIDTH) for number, (title, unit, lines) in enumerate(plots))
    legend = "".join(
        f'<text x="{LEFT + 170 * number}" y="{HEIGHT + 16}" fill="{line.colour}">{line.name}</text>'
        for number, line in enumerate(plots[0][2])
    )
    size = f'width="{WIDTH * len(plots)}" height="{HEIGHT + 24}" viewBox="0 0 {WIDTH * len(plots)} {HEIGHT + 24}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11" fill="#777">'
        f"<title>Arrivals a second of processor time</title>{drawn}{legend}</svg>\n"
    )


def main() -> None:
    """Measure and draw."""
    plots = [
        ("one room", "members", curves((2, 5, 20, 100), lambda n, seen: rate(n, 1, ARRIVALS, is_watched=seen))),
        ("rooms of 5", "rooms", curves((1, 4, 16, 64), lambda n, seen: rate(5, n, ARRIVALS, is_watched=seen))),
        ("a room of 20, length of the run", "arrivals",
         curves((2_000, 8_000, 32_000), lambda n, seen: rate(20, 1, n, is_watched=seen))),
    ]  # fmt: skip
    found = Found("simulator curves")
    for title, unit, lines in plots:
        for line in lines:
            for place, speed in line.points:
                found.figure(f"{title}, {line.name}, {place:,.0f} {unit}", speed, "arrivals per s")
    TO.write_text(picture(plots), encoding="utf-8")
    print(f"{TO}, {found.write()}")


if __name__ == "__main__":
    main()
