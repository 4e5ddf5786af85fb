"""Strategies run over past bars: the bar loop, its statistics, and how much of it is luck. Pure."""
