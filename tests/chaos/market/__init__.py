"""Worker processes that ask a provider for more than it allows, and the count of how it took that."""
