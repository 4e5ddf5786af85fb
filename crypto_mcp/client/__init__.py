"""The product's REST as Python: the same methods blocking (`CryptoMcp`) and for an event loop (`AsyncCryptoMcp`).

    from crypto_mcp.catalogue import ANALYZE_CRYPTO
    from crypto_mcp.client import CryptoMcp

    with CryptoMcp("https://crypto.example.com", key="cmcp_...") as crypto:
        analysis = crypto.ask(ANALYZE_CRYPTO, {"symbol": "BTC", "timeframe": "4h"})
        print(analysis.recommendation.action)

Parameters and results are the models of the catalogue; docs/client.md tells the rest.
"""

from crypto_mcp.client.asynchronous import AsyncCryptoMcp
from crypto_mcp.client.blocking import CryptoMcp
from crypto_mcp.client.exchange import Call
from crypto_mcp.client.operations import result_of
from crypto_mcp.client.problems import error_of

__all__ = ["AsyncCryptoMcp", "Call", "CryptoMcp", "error_of", "result_of"]
