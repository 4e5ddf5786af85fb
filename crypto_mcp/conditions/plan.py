"""A condition after parsing: array operations in the order in which they are done, each expression once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an expression is; a percentage counts in points, 5.0 for 5 %."""

    NUMBER = "number"
    PERCENT = "percentage"
    RATIO = "ratio"
    BOOLEAN = "condition"


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on the results of earlier steps."""

    operation: str
    inputs: tuple[int, ...] = ()
    options: tuple[Hashable, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps of which each uses earlier ones only; the last is the result."""

    steps: tuple[Step, ...]

    def pruned(self, root: int) -> Plan:
        """What step `root` needs, with it as the last."""
        wanted = {root}
        for index in range(root, -1, -1):
            if index in wanted:
                wanted.update(self.steps[index].inputs)
        number = {old: new for new, old in enumerate(sorted(wanted))}
        kept = (self.steps[old] for old in sorted(wanted))
        return Plan(tuple(Step(s.operation, tuple(number[i] for i in s.inputs), s.options) for s in kept))


# The comparison that holds when another, both sides being known, does not.
OPPOSITES = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
_DUALS = {"and": "or", "or": "and", "within": "always", "always": "within"}


class Builder:
    """Collects steps; an expression that was built before is the same step."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.steps: list[Step] = list(plan.steps) if plan else []
        self._index = {step: i for i, step in enumerate(self.steps)}
        self._negated: dict[int, int] = {}

    def add(self, operation: str, *inputs: int, options: tuple[Hashable, ...] = ()) -> int:
        """The number of the step, a new one if it has not been built yet."""
        step = Step(operation, inputs, options)
        if step not in self._index:
            self._index[step] = len(self.steps)
            self.steps.append(step)
        return self._index[step]

    def constant(self, index: int) -> float | None:
        """The value of a step that is a plain number."""
        step = self.steps[index]
        return float(str(step.options[0])) if step.operation == "number" else None

    def plan(self, root: int) -> Plan:
        """The plan that ends in step `root`."""
        return Plan(tuple(self.steps)).pruned(root)

    def negated(self, index: int) -> int:
        """True where the step is known to be false: what is unknown for want of history is neither.

        The `not` moves inwards to the comparisons, which are false of NaN either way round.
        """
        if index not in self._negated:
            self._negated[index] = self._negate(self.steps[index], index)
        return self._negated[index]

    def _negate(self, step: Step, index: int) -> int:
        if step.operation == "compare":
            return self.add("compare", *step.inputs, options=(OPPOSITES[str(step.options[0])],))
        if step.operation in _DUALS:
            return self.add(_DUALS[step.operation], *map(self.negated, step.inputs), options=step.options)
        if step.operation == "shift":
            return self.add("shift", self.negated(step.inputs[0]), options=step.options)
        if step.operation == "tf":
            timeframe, inner, column = step.options
            assert isinstance(inner, Plan)
            builder = Builder(inner)
            return self.add("tf", options=(timeframe, builder.plan(builder.negated(len(inner.steps) - 1)), column))
        return self.add("not", index)
