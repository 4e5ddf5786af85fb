"""The live feed: streams of the exchange in, last prices and closed bars out, each bar exactly once."""
