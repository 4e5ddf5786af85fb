"""Conditions with parameters: read once, then evaluated for many values with everything shared that can be.

Reading a condition costs more than a run over a year of hours. So a condition is read with its usual values and once
more for each parameter, with that one changed: where the two plans differ in nothing but that number, the number's
places in the plan are known. A condition that is built otherwise for other values is read anew for each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crypto_mcp.analysis.findings import Bools
from crypto_mcp.backtest.binding import written
from crypto_mcp.conditions import Condition, parse
from crypto_mcp.conditions.operations import OPERATIONS, Context
from crypto_mcp.conditions.plan import Plan
from crypto_mcp.models.candles import Candles
from crypto_mcp.models.strategy import PLACEHOLDER

MEMORY = 256_000_000
"""Bytes of series that are kept for other values."""

_Place = tuple[int, tuple[int, ...]]


def filled(text: str, values: Mapping[str, float]) -> Condition:
    """The condition with numbers for its parameters. ConditionError where it cannot be read with them."""
    return parse(PLACEHOLDER.sub(lambda found: written(values[found[1]]), text))


@dataclass(slots=True)
class Template:
    """A condition whose numbers may be replaced.

    Attributes:
        text: with parameters in braces.
        usual: values it was read with first.
        places: where in the plan each parameter stands; None if the plan's form depends on values.
        checked: values between which each parameter has been read, so that bounds are known to hold.
    """

    text: str
    usual: dict[str, float]
    plan: Plan
    places: dict[str, list[_Place]] | None
    checked: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, values: Mapping[str, float], bounds: Mapping[str, tuple[float, float]]) -> Template:
        """Reads a condition. ConditionError where it cannot be read with these values, or at a bound."""
        usual = {name: values[name] for name in dict.fromkeys(PLACEHOLDER.findall(text))}
        template = cls(text, usual, filled(text, usual).plan, {name: [] for name in usual})
        for name, value in usual.items():
            template.checked[name] = (value, value)
            for bound in bounds.get(name, ()):
                template.check(name, bound)
        return template

    def check(self, name: str, value: float) -> None:
        """Reads the condition with one parameter changed, and learns from it where that stands."""
        if value == self.usual[name]:
            return
        other = filled(self.text, self.usual | {name: value}).plan
        low, high = self.checked[name]
        self.checked[name] = (min(low, value), max(high, value))
        found = _differences(self.plan, other, self.usual[name], value)
        if found is None or (self.places and self.places[name] not in ([], found)):
            self.places = None
        elif self.places is not None:
            self.places[name] = found

    def admit(self, values: Mapping[str, float]) -> None:
        """Makes sure that the condition can be read with these values. ConditionError where it cannot."""
        for name, (low, high) in self.checked.items():
            value = values[name]
            if not low <= value <= high or value != int(value):
                self.check(name, value)


def _differences(one: Plan, other: Plan, value: float, changed: float) -> list[_Place] | None:
    """Places where one plan has `value` and the other `changed`, if they differ in nothing else."""
    if len(one.steps) != len(other.steps):
        return None
    found: list[_Place] = []
    for index, (a, b) in enumerate(zip(one.steps, other.steps, strict=True)):
        if a.operation != b.operation or a.inputs != b.inputs:
            return None
        if a.options != b.options:
            paths = _paths(a.options, b.options, value, changed)
            if paths is None:
                return None
            found += [(index, path) for path in paths]
    return found or None


def _paths(a: Hashable, b: Hashable, value: float, changed: float) -> list[tuple[int, ...]] | None:
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        found: list[tuple[int, ...]] = []
        for place, (x, y) in enumerate(zip(a, b, strict=True)):
            if x != y:
                inner = _paths(x, y, value, changed)
                if inner is None:
                    return None
                found += [(place, *path) for path in inner]
        return found
    return [()] if (a, b) == (value, changed) and type(a) is type(b) else None


def _replaced(options: Any, path: tuple[int, ...], value: float) -> Any:
    if not path:
        return type(options)(value)
    place, *rest = path
    return (*options[:place], _replaced(options[place], tuple(rest), value), *options[place + 1 :])


@dataclass(slots=True, eq=False)
class Node:
    """One operation of one or several conditions.

    Attributes:
        number: unique in its `SharedSeries`.
        parameters: names that its value depends on.
        holes: places in `options` where a parameter stands.
        kept: whether its values are kept: numbers, and what depends on no parameter. Comparisons are as quick to make.
    """

    number: int
    operation: str
    inputs: tuple[Node, ...]
    options: tuple[Hashable, ...]
    parameters: tuple[str, ...]
    holes: tuple[tuple[tuple[int, ...], str], ...]
    kept: bool = True

    def filled(self, values: Mapping[str, float]) -> tuple[Hashable, ...]:
        """The options with these values."""
        options = self.options
        for path, name in self.holes:
            options = _replaced(options, path, values[name])
        return options


class SharedSeries:
    """Evaluates conditions on one set of candles; series are kept and found again by what they are made of."""

    def __init__(self, candles: Candles, memory: int = MEMORY) -> None:
        self._context = Context(candles, {})
        self._memory = memory
        self._nodes: dict[Hashable, Node] = {}
        self._roots: dict[tuple[str, int], Node] = {}
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes = 0

    def evaluate(self, template: Template, values: Mapping[str, float]) -> Bools:
        """What `evaluate` says of the condition with these values, which the template has admitted."""
        if template.places is None:
            root = self._graph(filled(template.text, values).plan, {})
        else:
            # A parameter's places are known once another value of it has been read.
            key = template.text, sum(map(len, template.places.values()))
            root = self._roots.get(key) or self._graph(template.plan, template.places)
            self._roots[key] = root
        result: Bools = self._value(root, values)
        return result

    def _graph(self, plan: Plan, places: Mapping[str, list[_Place]]) -> Node:
        nodes: list[Node] = []
        for index, step in enumerate(plan.steps):
            holes = tuple((path, name) for name, found in places.items() for at, path in found if at == index)
            inputs = tuple(nodes[i] for i in step.inputs)
            # With holes the options hold usual values: names make two conditions agree on what is the same.
            key = (step.operation, tuple(node.number for node in inputs), step.options, holes)
            if key not in self._nodes:
                names = {name for node in inputs for name in node.parameters} | {name for _, name in holes}
                self._nodes[key] = Node(
                    len(self._nodes), step.operation, inputs, step.options, tuple(sorted(names)), holes
                )
            nodes.append(self._nodes[key])
        return nodes[-1]

    def _value(self, node: Node, values: Mapping[str, float]) -> Any:
        if not node.kept:
            return self._made(node, values)
        key = (node.number, *(values[name] for name in node.parameters))
        found = self._kept.get(key)
        if found is None:
            found = self._made(node, values)
            node.kept = not (node.parameters and isinstance(found, np.ndarray) and found.dtype == np.bool_)
            if node.kept:
                self._keep(key, found)
        return found

    def _made(self, node: Node, values: Mapping[str, float]) -> Any:
        inputs = [self._value(part, values) for part in node.inputs]
        return OPERATIONS[node.operation](self._context, inputs, *node.filled(values))

    def _keep(self, key: Hashable, found: Any) -> None:
        self._kept[key] = found
        self._bytes += _size(found)
        while self._bytes > self._memory and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(found: Any) -> int:
    if isinstance(found, tuple):
        return sum(_size(part) for part in found)
    return int(np.asarray(found).nbytes)
