"""The whole product on one machine: real servers as children, supervised, on loopback only."""
