"""`python -m crypto_mcp.cli`."""

from crypto_mcp.cli.app import main

main()
