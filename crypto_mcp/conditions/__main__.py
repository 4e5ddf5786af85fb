"""`python -m crypto_mcp.conditions > docs/conditions.md` writes the reference."""

from __future__ import annotations

import sys

from crypto_mcp.conditions.reference import reference

if __name__ == "__main__":
    sys.stdout.write(reference())
