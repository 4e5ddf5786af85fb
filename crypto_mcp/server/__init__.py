"""The front end: MCP, REST and stdio. It computes nothing: a call becomes a job, and a job's result an answer."""
