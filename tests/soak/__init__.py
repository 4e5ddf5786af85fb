"""Steady load for a long time: what grows that should not? `make soak` (MINUTES=20)."""
