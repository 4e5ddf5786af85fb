"""Market data: one module per outside system behind one small protocol."""
