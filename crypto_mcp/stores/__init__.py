"""What is kept: MongoDB, PostgreSQL and the cache, one module each."""
