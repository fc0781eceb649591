"""The diagrams of the three machines as SVG, for pages: drawn from the tables, in the colours of the text around them.

A row of states leads from left to right, final states stand below each other at its end. Words at an arrow are events;
an arrow without words is the event that has the name of the state it leads to.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from tcrp.spec.names import Machine
from tcrp.view.machines import Diagram, Edge, Node, diagrams

WIDTH, HEIGHT = 92, 32
ACROSS, DOWN = 196, 52
"""From one state to the next, in pixels."""
LINE = 13
MARGIN = 6


def machine_svg(machine: Machine) -> str:
    """One machine's diagram: an `<svg>` element that can stand in a page."""
    return _svg(next(each for each in diagrams() if each.machine is machine))


def _svg(diagram: Diagram) -> str:
    nodes = {node.state: node for node in diagram.nodes}
    above = max(_room_above(nodes, edge) for edge in diagram.edges)
    right = max(node.step for node in diagram.nodes) * ACROSS + WIDTH
    bottom = max(node.row for node in diagram.nodes) * DOWN + HEIGHT
    box = f"{-MARGIN} {-above - MARGIN} {right + 2 * MARGIN} {above + bottom + 2 * MARGIN}"
    parts = [
        f'<svg class="machine" viewBox="{box}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>The states of a {diagram.machine}, and the events that lead from one to another</title>",
        f'<defs><marker id="tip-{diagram.machine}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8Z"/></marker></defs>',
    ]
    for edge in diagram.edges:
        parts += _arrow(diagram.machine, nodes[edge.source], nodes[edge.target], edge)
    for node in diagram.nodes:
        x, y = _corner(node)
        final = ' class="final"' if node.is_final else ""
        parts.append(f'<rect{final} x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>')
        parts.append(f'<text class="state" x="{x + WIDTH / 2}" y="{y + 21}">{escape(node.state)}</text>')
    return "".join([*parts, "</svg>"])


def _corner(node: Node) -> tuple[int, int]:
    return node.step * ACROSS, node.row * DOWN


def _words(edge: Edge) -> list[str]:
    return [event for event in edge.events if event != edge.target]


def _is_over(source: Node, target: Node) -> bool:
    """Whether the arrow has to pass over states between."""
    return source.row == target.row and target.step > source.step + 1


def _room_above(nodes: dict[str, Node], edge: Edge) -> int:
    """How much room the words of an arrow need above the first row of states."""
    source, target = nodes[edge.source], nodes[edge.target]
    if _is_over(source, target):
        return 78 + LINE
    return 22 + LINE if source == target else 0


def _arrow(machine: Machine, source: Node, target: Node, edge: Edge) -> Iterator[str]:
    x, y = _corner(source)
    to_x, to_y = _corner(target)
    words = _words(edge)
    middle = y + HEIGHT / 2
    if source == target:
        path = f"M{x + 34} {y}C{x + 24} {y - 26} {x + 68} {y - 26} {x + 58} {y}"
        yield _text(x + WIDTH / 2, y - 24, ", ".join(words))
    elif _is_over(source, target):
        top = y - 76
        path = f"M{x + 70} {y}C{x + 110} {top - 24} {to_x - 18} {top - 24} {to_x + 22} {to_y}"
        yield _text((x + to_x + WIDTH) / 2, top - 2, ", ".join(words))
    elif source.row == target.row:
        path = f"M{x + WIDTH} {middle}H{to_x - 1}"
        for number, word in enumerate(reversed(words)):
            yield _text((x + WIDTH + to_x) / 2, middle - 6 - number * LINE, word)
    else:
        far = target.step - source.step
        x0 = x + WIDTH / 2 + 12 * (2 - target.row)
        y1 = to_y + HEIGHT / 2 + 7 * (2 - far)
        path = f"M{x0} {y + HEIGHT}C{x0} {y1} {x0 + 30} {y1} {to_x - 1} {y1}"
        yield from (_text(x0 + 70, y1 - 5, word) for word in words)
    yield f'<path class="way" d="{path}" marker-end="url(#tip-{machine})"/>'


def _text(x: float, y: float, words: str) -> str:
    return f'<text x="{x}" y="{y}">{escape(words)}</text>' if words else ""
