"""The one error of the condition language."""

from __future__ import annotations

from crypto_mcp.errors import InvalidRequest

EXAMPLE = "rsi(14) < 30 and close > ema(200)"


class ConditionError(InvalidRequest):
    """The text is not a condition.

    Attributes:
        column: where, the first character being 1.
        found: what stands there.
        nearest: the valid name that is most like it, where there is one.
        example: a condition that is right.
    """

    code = "bad_condition"

    def __init__(
        self,
        what: str,
        *,
        column: int,
        found: str = "",
        nearest: str | None = None,
        advice: str = "",
        example: str = "",
    ) -> None:
        self.column, self.found, self.nearest, self.example = column, found, nearest, example or EXAMPLE
        said = (f"Did you mean {nearest}?" if nearest else "", advice, f"For example: {self.example}")
        super().__init__(f"column {column}: {what}", hint=" ".join(part for part in said if part))
