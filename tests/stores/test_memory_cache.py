"""L1: bounded by bytes, the least recently used makes room."""

from __future__ import annotations

import gc
import secrets
import tracemalloc

import pytest

from crypto_mcp.stores import cache as cache_module
from crypto_mcp.stores.cache import MemoryCache

CACHE = cache_module.__file__
"""What other tests' servers in this process do meanwhile is not counted."""


def test_the_least_recently_used_makes_room() -> None:
    cache = MemoryCache(10_000)
    for name in ("a", "b", "c"):
        cache.put(name, bytes(2000), cache.timer() + 60)
    assert cache.get("a") is not None
    cache.put("d", bytes(4000), cache.timer() + 60)
    assert [name for name in "abcd" if cache.get(name) is None] == ["b"]
    assert cache.size <= 10_000


def test_what_is_larger_than_the_whole_cache_is_not_kept() -> None:
    cache = MemoryCache(1000)
    cache.put("a", bytes(1000), cache.timer() + 60)
    assert cache.get("a") is None


@pytest.mark.parametrize("length", [10, 2_000])
def test_memory_is_bounded_by_bytes_as_measured(length: int) -> None:
    """Four times what fits, in random order of time to live, half of it replaced on the way."""
    bound = 1_000_000
    tracemalloc.start()
    try:
        cache = MemoryCache(bound)
        for i in range(4 * bound // (length + 650)):
            key = f"analysis:{secrets.token_hex(4)}" if i % 2 else "analysis:again"
            cache.put(key, bytes(length), cache.timer() + 60 + secrets.randbelow(600))
        gc.collect()
        ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, file) for file in (CACHE, __file__)])
        held = sum(trace.size for trace in ours.traces)
    finally:
        tracemalloc.stop()
    assert bound / 5 < held <= bound
