"""Figures of a finished run: each with its definition and source, None with a reason where it would mislead. Pure."""
