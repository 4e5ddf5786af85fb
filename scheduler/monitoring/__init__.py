"""System alerts: what is looked at, when it is told, to whom."""
