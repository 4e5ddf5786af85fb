"""`python -m tests.chaos`: jobs under killed workers, killed Redis and cut sockets. Counts what was lost."""
