#!/bin/sh
# Compiled kernels go where numba may write, then the command takes this shell's place, so that it gets the signals.
set -eu
if [ -n "${CRYPTO_MCP_WARM:-}" ] && [ ! -d "$NUMBA_CACHE_DIR" ]; then
  cp -rp "$CRYPTO_MCP_WARM" "$NUMBA_CACHE_DIR"
fi
if [ -n "${CRYPTO_MCP_WAIT_FOR:-}" ]; then
  crypto-mcp deploy wait --within "$CRYPTO_MCP_WAIT_FOR"
fi
exec "$@"
