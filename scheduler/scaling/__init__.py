"""How many replicas of each worker run: a pure policy, what it sees, what it does through Docker, and a simulator."""
