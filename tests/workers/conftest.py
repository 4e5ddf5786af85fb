"""The rig of the worker's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crypto_mcp.settings import Settings
from tests.workers.rig import Rig


@pytest.fixture
async def rig(settings: Settings, tmp_path: Path) -> AsyncIterator[Rig]:
    """A queue; workers that a test starts on it are killed at its end."""
    rig = Rig(settings, tmp_path)
    yield rig
    await rig.close()
