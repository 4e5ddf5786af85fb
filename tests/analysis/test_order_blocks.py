"""Order blocks: which candle, which prices, and the zone's life."""

from __future__ import annotations

import pytest
from drawn import drawn, in_ticks, states, upside_down
from walks import random_walk

from crypto_mcp.analysis.dealing_range import find_dealing_ranges
from crypto_mcp.analysis.findings import Findings
from crypto_mcp.analysis.market_structure import find_structure, in_zones
from crypto_mcp.analysis.measures import measure
from crypto_mcp.analysis.order_blocks import OrderBlock, find_order_blocks
from crypto_mcp.analysis.structure import find_breaks
from crypto_mcp.analysis.swings import find_swings
from crypto_mcp.models.candles import Candles


def blocks(candles: Candles, min_displacement: float = 1.0) -> Findings[OrderBlock]:
    measures = measure(candles)
    swings = find_swings(measures, 1, equal_tolerance=0.1, max_age=1000)
    return find_order_blocks(
        measures,
        find_breaks(measures, swings, "close", 2),
        find_dealing_ranges(measures, swings),
        impulse=3,
        min_displacement=min_displacement,
        search=3,
        max_age=50,
    )


#   110      ┌┐ swing high                     ┌─┐
#            ││                              ┌─┘ │   the close of bar 6 breaks 110
#   105   ┌──┘└──┐                         ┌─┘   │
#         │      └──┐                      │
#   100             └─┐ falling candle ──► ▓ ────┘   zone 96 to 101: its high, and the low of the move
#    96                                    ▓ ┴
BASE = (
    (104, 106, 103, 105, 100),
    (105, 110, 104, 108, 100),  # swing high 110
    (108, 108.5, 104, 104.5, 100),
    (100.5, 101, 97, 98, 300),  # the last falling candle
    (98, 103, 96, 103, 200),  # rises, but makes the low of the move
    (103, 108, 102.5, 107.5, 150),
    (107.5, 113, 107, 112.5, 150),  # the break
)
AFTER = {
    "tested": (112, 112, 100.5, 106, 100),
    "middle": (106, 107, 98, 105, 100),
    "broken": (105, 105, 94, 95, 100),
    "retest": (95, 98, 93, 94, 100),
    "reclaim": (94, 104, 94, 103, 100),
}


def test_the_zone_is_the_last_falling_candle_down_to_the_low_of_the_move() -> None:
    (block,) = blocks(drawn(*BASE))
    assert (block.at, block.known_at, block.type) == (3, 6, "demand")
    assert (block.top, block.bottom) == (101, 96)
    assert (block.level, block.swing_at, block.kind) == (110, 1, "bos")
    assert block.volume_share == pytest.approx(300 / 800)
    assert block.rejection == pytest.approx((98 - 96) / (101 - 96))
    assert block.changes == ()


def test_it_is_not_known_before_the_break() -> None:
    assert not len(blocks(drawn(*BASE[:6])))


def test_a_zone_lives_through_test_mitigation_break_inversion_and_end() -> None:
    found = blocks(drawn(*BASE, *AFTER.values()))
    assert states(found) == [(7, "tested"), (8, "mitigated"), (9, "broken"), (10, "inverted"), (11, "spent")]
    assert found[0].reaction_atr == pytest.approx((106 - 100.5) / measure(drawn(*BASE, *AFTER.values())).bars.atr[7])


def test_a_broken_zone_that_made_a_new_high_first_is_a_breaker_else_a_mitigation_block() -> None:
    low = ((106, 107, 105, 105, 100), (105, 105.5, 102, 104, 100))  # so that there is a dealing range, 102 to 110
    breaker = next(block for block in blocks(drawn(*low, *BASE, AFTER["broken"])) if block.type == "demand")
    assert (breaker.role, breaker.state) == ("breaker", "broken")
    assert all(block.role == "" for block in blocks(drawn(*BASE)))
    roles = {block.role for seed in range(5) for block in find_structure(random_walk(800, seed=seed)).order_blocks}
    assert roles == {"", "breaker", "mitigation"}


def test_without_displacement_there_is_no_block() -> None:
    (block,) = blocks(drawn(*BASE))
    assert not len(blocks(drawn(*BASE), min_displacement=block.displacement_atr * 1.01))


def test_without_an_opposite_candle_there_is_no_block() -> None:
    rising = [(bar[0], bar[1], bar[2], max(bar[0], bar[3]), bar[4]) for bar in BASE[2:4]]
    rising = [(b[0], max(b[1], b[3]), b[2], b[3] + 0.1, b[4]) for b in rising]
    assert not len(blocks(drawn(*BASE[:2], *rising, *BASE[4:])))


def test_an_unbroken_zone_expires() -> None:
    quiet = [(112, 113, 111, 112)] * 60
    assert states(blocks(drawn(*BASE, *quiet))) == [(57, "expired")]


def test_supply_is_the_mirror_image_of_demand() -> None:
    candles = in_ticks(random_walk(600, seed=8), 0.25)
    up, down = find_structure(candles).order_blocks, find_structure(upside_down(candles, 256.0)).order_blocks
    demand = [(b.at, b.known_at, b.top, b.bottom, b.changes, b.role) for b in up]
    supply = [(b.at, b.known_at, 512 - b.bottom, 512 - b.top, b.changes, b.role) for b in down]
    assert len(demand) > 10
    assert demand == supply
    assert [b.strength for b in up] == pytest.approx([b.strength for b in down])


def test_price_is_in_a_zone_from_the_bar_after_it_is_known_until_it_breaks() -> None:
    candles = drawn(*BASE, AFTER["tested"], (106, 107, 100, 100.5), AFTER["broken"], AFTER["retest"], (94, 98, 94, 97))
    inside = in_zones(blocks(candles), candles.close, "demand")
    assert [bar for bar, yes in enumerate(inside) if yes] == [8]
    assert not in_zones(blocks(candles), candles.close, "supply").any()


def test_strength_rises_with_the_volume_of_the_move() -> None:
    calm = random_walk(60, seed=1)
    base = [(bar[0], bar[1], bar[2], bar[3], 100) for bar in BASE]
    loud = [(bar[0], bar[1], bar[2], bar[3], 100 if i < 3 else 900) for i, bar in enumerate(BASE)]
    history = [(104, 105, 103, 104, 90 + 20 * (i % 2)) for i in range(len(calm))]
    assert blocks(drawn(*history, *loud))[-1].strength > blocks(drawn(*history, *base))[-1].strength
