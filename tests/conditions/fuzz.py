"""Strings that are no condition, or nearly one: what the language is fuzzed with.

    python -m tests.conditions.fuzz 100000

reads so many, evaluates those that are conditions, and tells the slowest. It fails where one gives
another exception than `ConditionError`, a warning, or takes more than 50 ms of computing.
"""

from __future__ import annotations

import random
import re
import string
import sys
import time
import warnings

from crypto_mcp.conditions import Condition, ConditionError, evaluate, parse
from crypto_mcp.conditions.functions import FUNCTIONS, NAMES
from tests.analysis.walks import random_walk

CANDLES = random_walk(60, seed=1)
LONGEST_MS = 50.0

PIECES = [
    *NAMES,
    *"()[],.+-*/%<>=!&|'\"{}:;@#~^\\ \n\t0123456789",
    "and",
    "or",
    "not",
    ">=",
    "==",
    "14",
    "5%",
    '"4h"',
    "1e5",
]
VALID = [
    "rsi(14) < 30 and close > ema(200)",
    "crosses_above(ema(9), ema(21)) and volume > 2 * sma(volume, 20)",
    'tf("4h", close > ema(50)) or change(close, 24) > 5%',
    'not within(in_order_block("demand"), 5) and close[1] < bb_lower(20, 2)',
    "between(macd_hist(12, 26, 9), -1, 1) or abs(change()) >= 2.5%",
]


def _exchanged(source: random.Random) -> str:
    """A valid condition with a number or name in it exchanged for another."""
    tokens = re.split(r"([a-z_]+|\d+)", source.choice(VALID))
    at = source.randrange(1, len(tokens), 2)
    tokens[at] = source.choice(NAMES) if tokens[at].isalpha() else str(source.randrange(100))
    return "".join(tokens)


def _mutated(source: random.Random) -> str:
    if source.random() < 0.3:
        return _exchanged(source)
    text = list(source.choice(VALID))
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(text) + 1)
        piece = source.choice([source.choice(PIECES), source.choice(string.printable), source.choice("0123456789 ")])
        text[at : at + source.choice([0, 1, 1, 1, 5])] = piece
    return "".join(text)


def _random(source: random.Random) -> str:
    if source.random() < 0.3:
        return "".join(
            chr(source.choice([source.randrange(128), source.randrange(0x11000)])) for _ in range(source.randrange(40))
        )
    return source.choice(["", " "]).join(source.choices(PIECES, k=source.randrange(1, 25)))


def read(text: str) -> Condition | None:
    """The condition, or None where the text is none: the error then points into the text."""
    column = 1
    try:
        return parse.__wrapped__(text)
    except ConditionError as error:
        column = error.column
    assert 1 <= column <= len(text) + 1, text
    return None


def strings(count: int, seed: int) -> list[str]:
    """As many mutated conditions as random strings."""
    source = random.Random(seed)
    return [_mutated(source) if i % 2 else _random(source) for i in range(count)]


def examine(text: str) -> Condition | None:
    """The condition, evaluated, or None where the text is none."""
    condition = read(text)
    # Not every timeframe that a mutation gives can be made of hours.
    if condition is not None and "tf(" not in text:
        assert evaluate(condition, CANDLES).shape == (len(CANDLES),), text
    return condition


def main(count: int, seed: int) -> None:
    warnings.simplefilter("error")
    for function in FUNCTIONS.values():  # kernels are compiled before
        evaluate(parse(function.example), CANDLES)
    slowest, valid = (0.0, ""), 0
    for text in strings(count, seed):
        began = time.process_time()
        valid += examine(text) is not None
        slowest = max(slowest, (1000 * (time.process_time() - began), text))
    print(f"{count} strings of seed {seed}: {valid} conditions, the others a ConditionError; "
          f"the slowest took {slowest[0]:.1f} ms: {slowest[1]!r}")  # fmt: skip
    if slowest[0] > LONGEST_MS:
        sys.exit(f"over {LONGEST_MS:g} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, int(sys.argv[2]) if len(sys.argv) > 2 else 17)
