"""One year of hourly candles of three symbols, as they were recorded."""
