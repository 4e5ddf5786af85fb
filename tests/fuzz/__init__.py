"""`make fuzz`: schemathesis against the whole product, requests made from its own OpenAPI."""
