"""The contract: parameters and results of every job, and their JSON schemas."""
