"""Classical indicators, by family, each a row of a table."""
