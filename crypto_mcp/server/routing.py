"""Routes under /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from crypto_mcp.server.problems import described

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "/v1"


class Routes(APIRouter):
    """Those of one subject. The application takes them as they are: FastAPI would build included routes once more.

    Attributes:
        bodies: of paths that read their JSON body themselves, what describes it: `schema` and `example`. Made when
            somebody asks for the documentation, which few processes ever see.
    """

    def __init__(self, prefix: str = "", *, tags: list[str] | None = None) -> None:
        super().__init__(prefix=PREFIX + prefix, tags=[*(tags or ())], responses=described(401, 422, 429, 503))
        self.bodies: dict[str, Callable[[], dict[str, Any]]] = {}
