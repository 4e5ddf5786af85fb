"""Findings in, PNG out. Pure: no files, no clock; matplotlib's Agg canvas without its global state."""
