"""Backups that lose at most seconds, restores that say what they did, drills that prove both."""
