"""Telling people: channels, senders, and the ledger of what was sent."""
