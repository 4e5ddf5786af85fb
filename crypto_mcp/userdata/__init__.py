"""What is kept of a user, in every store: given out and erased on request. docs/security.md says how."""
