"""The causality law and every public function that is held to it.

What a function tells of the first k bars must be what those k bars alone give: `f(candles[:k])` equals
`f(candles)[:k]`. A function is under test (tests/analysis/test_causality.py) from the moment it carries `@causal`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from crypto_mcp.analysis.findings import Findings
from crypto_mcp.models.candles import Candles

F = TypeVar("F", bound=Callable[..., Any])
Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Causal:
    """A function under the law.

    Attributes:
        name: unique among them.
        function: takes candles and keyword arguments. Gives arrays of one value a bar (NaN where history is too
            short), `Findings`, or a tuple, mapping or dataclass of these.
        variants: keyword arguments to call it with.
        newest_only: fields of its result that speak of the newest bar alone.
        tolerance: relative difference allowed between series; 0, that is the same bits, unless there is a reason.
        because: that reason.
    """

    name: str
    function: Callable[..., Any]
    variants: tuple[Arguments, ...] = ({},)
    newest_only: frozenset[str] = frozenset()
    tolerance: float = 0.0
    because: str = ""

    def differences(self, candles: Candles, bars: int, arguments: Arguments) -> list[str]:
        """What the function tells of the first `bars` bars other than those bars alone give; empty under the law."""
        whole, part = self.function(candles, **arguments), self.function(candles[:bars], **arguments)
        return list(self._compare(self.name, whole, part, bars))

    def _compare(self, name: str, whole: Any, part: Any, bars: int) -> Iterator[str]:
        if type(whole) is not type(part):
            yield name
        elif isinstance(whole, Findings):
            if whole.as_of(bars) != part:
                yield f"{name}: {whole.kind.__name__} findings"
        elif isinstance(whole, np.ndarray):
            if not same_series(whole[:bars], part, self.tolerance):
                yield name
        elif isinstance(whole, (tuple, Mapping)) or is_dataclass(whole):
            outer, inner = parts_of(whole), parts_of(part)
            for key in (outer.keys() | inner.keys()) - self.newest_only:
                yield from self._compare(f"{name}.{key}", outer.get(key), inner.get(key), bars)
        elif whole != part:
            yield name


REGISTRY: dict[str, Causal] = {}


def causal(
    name: str,
    *variants: Arguments,
    newest_only: tuple[str, ...] = (),
    tolerance: float = 0.0,
    because: str = "",
) -> Callable[[F], F]:
    """Register a function; see `Causal` for the meaning of the arguments."""
    if name in REGISTRY:
        raise ValueError(f"{name} is registered already")
    if tolerance and not because:
        raise ValueError(f"{name} states no reason for its tolerance")

    def register(function: F) -> F:
        REGISTRY[name] = Causal(name, function, variants or ({},), frozenset(newest_only), tolerance, because)
        return function

    return register


def parts_of(found: Any) -> dict[str, Any]:
    """The parts of a result by name: fields of a dataclass, entries of a mapping, places of a tuple."""
    if isinstance(found, Mapping):
        return dict(found)
    if isinstance(found, tuple):
        return {str(i): value for i, value in enumerate(found)}
    return {f.name: getattr(found, f.name) for f in fields(found)}


def same_series(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any], tolerance: float) -> bool:
    """Whether two series are equal, NaN equal to NaN, within a relative tolerance."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype != np.float64:
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, rtol=tolerance, atol=0.0, equal_nan=True))
