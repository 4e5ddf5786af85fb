"""Lua scripts of the feed."""
