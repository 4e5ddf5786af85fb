"""A loopback exchange with the real wire formats, limits and errors. Everything it says is marked as a sandbox's."""
