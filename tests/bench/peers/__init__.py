"""Other job systems and ours, each as its users would set it up: a no-op, a client that waits for it, one worker."""
