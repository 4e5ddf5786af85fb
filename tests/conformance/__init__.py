"""`make conformance`: the official MCP conformance suite against the real front end."""
