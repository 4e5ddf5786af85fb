"""The queue protocol's moves, one Lua script each: a move happens whole or not at all."""
