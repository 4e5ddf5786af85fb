"""Pure engines: candles in, findings out. A value at bar t uses closed bars up to t only."""
