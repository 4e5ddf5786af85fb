"""Many symbols at once, pure: which of them match, how they rank, and the trades that several timeframes agree on."""
