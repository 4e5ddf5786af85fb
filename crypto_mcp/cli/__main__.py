"""`python -m crypto_mcp.cli`."""

from crypto_mcp.cli.entry import main

main()
