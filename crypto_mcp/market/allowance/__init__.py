"""How much may be asked of each provider, kept by all processes together. docs/market-data.md explains the rules."""
