"""What does the work: the arq worker and one handler module per list."""
