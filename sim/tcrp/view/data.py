"""A picture as data for other programs: the model of `tcrp.view.picture` as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tcrp.trace.sentences import sentence
from tcrp.view.about import About
from tcrp.view.picture import Picture

SCHEMA = "tcrp-picture/1"


def data(picture: Picture, about: About) -> dict[str, Any]:
    """Lifelines in the order of drawing, machines with their states, packets, faults, and each record as a sentence."""
    return {
        "schema": SCHEMA,
        "title": about.title,
        "verdict": about.verdict,
        "findings": [asdict(each) for each in about.findings],
        "lifelines": [asdict(picture.lifelines[index]) for index in picture.order],
        "machines": [asdict(track) for track in picture.tracks],
        "packets": [asdict(packet) for packet in picture.packets],
        "faults": [asdict(fault) for fault in picture.faults],
        "records": [
            {"n": record.n, "cause": record.cause, "t_us": record.t_us, "sentence": sentence(record)}
            for record in picture.records
        ],
    }
