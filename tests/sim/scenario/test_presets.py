"""Networks by name: each is whole settings, is read in a scenario by its name, and behaves as it is called."""

from __future__ import annotations

import pytest

from tcrp.sim.network.draws import mix
from tcrp.sim.network.links import SLOT_US, DropReason, Link
from tcrp.sim.scenario.model import CALM, Exponential
from tcrp.sim.scenario.presets import PRESETS
from tcrp.sim.scenario.reader import read_scenario_text

KEYS = [mix(number) for number in range(20_000)]


def link(name: str) -> Link:
    return Link("bob", "server", 7, CALM.patched(PRESETS[name]))


def delays(name: str) -> list[int]:
    return sorted(link(name).delay_us(key) for key in KEYS)


def test_these_networks_have_names() -> None:
    assert list(PRESETS) == [
        "lan", "wifi", "mobile", "satellite", "hotel",
        "soak-512k", "soak-1m", "soak-8m", "soak-8m-far", "soak-8m-near", "soak-16m",
    ]  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_a_scenario_names_a_network_and_gets_its_settings(name: str) -> None:
    text = (
        f"claim: it is read\nnetwork: {{default: {{preset: {name}}}}}\nscript: [{{at: 0s, bob: {{create: lobby}}}}]\n"
    )
    settings = read_scenario_text(text, "x.yaml").network.default
    given = PRESETS[name]
    assert settings == settings.patched(given)


@pytest.mark.parametrize(
    ("name", "least_us", "most_us"),
    [("lan", 100, 500), ("satellite", 270_000, 300_000), ("soak-512k", 100_000, 100_000), ("soak-8m-near", 5000, 5000)],
)
def test_a_delay_of_two_ends_is_between_them(name: str, least_us: int, most_us: int) -> None:
    drawn = delays(name)
    assert (drawn[0], drawn[-1]) == (least_us, most_us)


@pytest.mark.parametrize(
    ("name", "least_us", "mean_us"), [("wifi", 1000, 3000), ("mobile", 40_000, 30_000), ("hotel", 20_000, 60_000)]
)
def test_a_radio_has_a_least_delay_and_a_tail(name: str, least_us: int, mean_us: int) -> None:
    drawn = delays(name)
    assert PRESETS[name].delay == Exponential(mean_us, least_us)
    assert drawn[0] >= least_us
    assert abs(sum(drawn) / len(drawn) - least_us - mean_us) < 0.03 * mean_us
    assert drawn[-1] > least_us + 7 * mean_us


# In a burst a datagram is lost with a share; bursts are enter / (enter + leave) of the time.
SHARES = {
    "lan": 0,
    "wifi": 0.5 * 0.005 / 0.305,
    "mobile": 0.6 * 0.01 / 0.21,
    "satellite": 0.005,
    "hotel": 0.8 * 0.03 / 0.18,
    "soak-512k": 0.2,
    "soak-1m": 0.1,
    "soak-8m": 0.05,
    "soak-8m-far": 0.2,
    "soak-8m-near": 0.02,
    "soak-16m": 0,
}


@pytest.mark.parametrize("name", PRESETS)
def test_as_many_are_lost_as_the_network_is_like(name: str) -> None:
    lossy = link(name)
    lost = [lossy.refuses(key, 100, slot * SLOT_US) for slot, key in enumerate(KEYS)]
    assert set(lost) <= {None, DropReason.LOSS}
    assert abs(sum(each is not None for each in lost) / len(lost) - SHARES[name]) < 0.012


@pytest.mark.parametrize(
    ("name", "mtu", "rate_bps", "queue"),
    [
        ("lan", None, None, None),
        ("wifi", 1472, 50_000_000, 262_144),
        ("mobile", 1400, 5_000_000, 262_144),
        ("satellite", None, 10_000_000, 524_288),
        ("hotel", 1200, 1_000_000, 32_768),
        ("soak-512k", None, 512_000, 65_536),
        ("soak-16m", None, 16_000_000, 65_536),
    ],
)
def test_sizes_and_rates_are_in_bytes_and_bits(
    name: str, mtu: int | None, rate_bps: int | None, queue: int | None
) -> None:
    settings = PRESETS[name]
    assert (settings.mtu_bytes, settings.rate_bps, settings.queue_bytes) == (mtu, rate_bps, queue)
