"""A database server as a child."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from crypto_mcp.local.child import Child
from crypto_mcp.local.ports import require_free

if TYPE_CHECKING:
    from pathlib import Path


class EmbeddedServer(Child):
    """A server on loopback with its data in `data`, restartable on the same data."""

    setting: ClassVar[str]

    def __init__(self, name: str, data: Path, port: int, log: Path | None) -> None:
        self.data = data.absolute()
        self.port = port
        super().__init__(name, log or self.data / f"{name}.log")

    def require_port(self) -> None:
        """Raises `PortTaken` if something else listens there."""
        require_free(self.port, self.setting, self.name)


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text)
