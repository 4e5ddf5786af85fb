#!/bin/sh
# What is compiled and cached in the image goes where it may be written to; then the command takes this shell's place, so
# that it gets the signals.
set -eu
if [ -n "${CRYPTO_MCP_WARM:-}" ] && [ ! -d /tmp/warm ]; then
  cp -rp "$CRYPTO_MCP_WARM" /tmp/warm
fi
if [ -n "${CRYPTO_MCP_WAIT_FOR:-}" ]; then
  crypto-mcp deploy wait --within "$CRYPTO_MCP_WAIT_FOR"
fi
exec "$@"
