"""When a state is told. Pure: readings in, news out; no clock, no input or output.

A reading beyond its threshold has to last before it is told, and has to fall well below before it counts as over: a
value that swings about its threshold is told once. All subjects of one rule are told together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

_OVER_BELOW = 0.9
"""Part of the threshold below which a state is over."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A state that operators want to know.

    Attributes:
        name: as it stands in logs, metrics and messages.
        words: what is wrong, for people.
        threshold: readings above it are.
        unit: of readings.
        lasting: seconds it has to last before it is told.
        hint: what to do.
        state: it holds or not (readings are 1 and 0), and there is no figure to show.
    """

    name: str
    words: str
    threshold: float
    unit: str = ""
    lasting: float = 60.0
    hint: str = ""
    state: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of a subject, such as a front end, at a moment (seconds)."""

    rule: str
    subject: str
    value: float


@dataclass(frozen=True, slots=True)
class News:
    """A rule that began or ceased to hold, with its subjects and their readings."""

    rule: Rule
    raised: bool
    subjects: dict[str, float]

    @property
    def title(self) -> str:
        """One line."""
        return f"{self.rule.words}" if self.raised else f"Over: {self.rule.words}"

    @property
    def text(self) -> str:
        """Subjects with their readings, and what to do."""
        unit = self.rule.unit
        rows = [
            subject if self.rule.state else f"{subject}: {_shown(value)}{unit}"
            for subject, value in sorted(self.subjects.items())
        ]
        above = f"(told above {self.rule.threshold:g}{unit})" if self.raised and unit else ""
        return "\n".join([*rows, above, self.rule.hint if self.raised else ""]).strip()


def _shown(value: float) -> str:
    """Three digits are enough for people, and no exponent."""
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


@dataclass(slots=True)
class _Standing:
    since: dict[str, float] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)


class Watch:
    """Remembers since when each subject is beyond each threshold, and what was told."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._standing = {name: _Standing() for name in self._rules}

    def look(self, now: float, readings: Iterable[Reading]) -> list[News]:
        """What is new. A subject without a reading is gone, and so is what was said of it."""
        by_rule: dict[str, dict[str, float]] = {name: {} for name in self._rules}
        for reading in readings:
            by_rule[reading.rule][reading.subject] = reading.value
        return [news for name in self._rules for news in self._look(now, self._rules[name], by_rule[name])]

    def raised(self) -> dict[str, int]:
        """Number of subjects by rule that is told and not over."""
        return {name: len(standing.told) for name, standing in self._standing.items()}

    def _look(self, now: float, rule: Rule, values: dict[str, float]) -> list[News]:
        standing = self._standing[rule.name]
        over = {subject: values.get(subject, 0.0) for subject in standing.told if self._is_over(rule, values, subject)}
        for subject in over:
            del standing.told[subject]
        fresh = {}
        for subject, value in values.items():
            if value <= rule.threshold:
                standing.since.pop(subject, None)
            elif now - standing.since.setdefault(subject, now) >= rule.lasting and subject not in standing.told:
                fresh[subject] = value
        for subject in standing.since.keys() - values.keys():
            del standing.since[subject]
        standing.told |= fresh
        news = [News(rule, True, fresh)] if fresh else []
        return [*news, News(rule, False, over)] if over and not standing.told else news

    @staticmethod
    def _is_over(rule: Rule, values: dict[str, float], subject: str) -> bool:
        return values.get(subject, 0.0) < rule.threshold * _OVER_BELOW or subject not in values
