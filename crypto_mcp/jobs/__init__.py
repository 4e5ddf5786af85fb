"""A job's life: envelope, submission, state, waiting, cancelling, answer.

The only code that knows the key names of Redis db 2. docs/queue.md describes the protocol.
"""
