"""What is asked and known: contracts, engines, stores and the front end."""

__version__ = "0.1.0"
