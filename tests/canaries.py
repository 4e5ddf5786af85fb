"""Secrets, numbers and sizes that tests use, and that no line of a log may have: `tests/logscan.py` looks for them."""

from __future__ import annotations

PEPPER = "pepper-canary-a81f09"
"""What keys are hashed with."""

ENCRYPTION_KEY = "canary-of-an-encryption-key-5d20e7"
"""What numbers of channels are encrypted with."""

PROVIDER_SECRETS = ("token-of-tests", "secret-of-tests", "verify-of-tests")
"""Of a messaging provider."""

AMOUNT = "271828.1828"
"""Money paid into a portfolio."""

QUANTITY = "0.31415926"
"""Size of a position."""
