"""From a kind's declaration to the coroutine that does its work."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from crypto_mcp.models.answers import build_contracts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import ModuleType

    from pydantic import BaseModel

    from crypto_mcp.job_kind import JobKind


def load(kind: JobKind[Any, Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The handler a kind names as `module:function`, as arq calls it: with its context, which holds the `Job`.

    Raises `ImportError` or `TypeError` when the worker starts rather than at the first job.
    """
    module, _, name = kind.handler.partition(":")
    handler = getattr(import_module(module), name, None)
    if not inspect.iscoroutinefunction(handler):
        raise TypeError(f"{kind.name}: {kind.handler} is no coroutine function")

    async def run(ctx: dict[str, Any], params: BaseModel) -> Any:
        return await handler(ctx["job"], params)

    return run


def prepare_process(kinds: Iterable[JobKind[Any, Any]]) -> None:
    """Imports the handlers of these kinds, builds the contracts, and forks the nursery if one of them has children.

    For a process that has no threads yet; a worker that was not started so starts its nursery when it needs it.
    """
    for kind in kinds:
        load(kind)
    build_contracts()
    if "workers.children" in sys.modules:
        sys.modules["workers.children"].fork_nursery()


def warm_up(kinds: Iterable[JobKind[Any, Any]]) -> None:
    """Calls the `warm_up` of each module that has handlers of these kinds, where there is one.

    It does what would otherwise make the first jobs wait, such as compiling kernels; jobs meanwhile go without.
    """
    to_prepare = [module.warm_up for module in _modules(kinds) if hasattr(module, "warm_up")]
    if not to_prepare:
        return
    from crypto_mcp.compiling import meanwhile_interpreted  # a third of a second that others need not wait for

    with meanwhile_interpreted():
        for prepare in to_prepare:
            prepare()


def works_cold(kinds: Iterable[JobKind[Any, Any]]) -> bool:
    """Whether jobs of these kinds may be taken while `warm_up` is still under way.

    A module that says `WORKS_COLD` does the same meanwhile, only slower. One without a `warm_up` is always warm.
    """
    return all(getattr(module, "WORKS_COLD", not hasattr(module, "warm_up")) for module in _modules(kinds))


def _modules(kinds: Iterable[JobKind[Any, Any]]) -> list[ModuleType]:
    return [import_module(name) for name in sorted({kind.handler.partition(":")[0] for kind in kinds})]
