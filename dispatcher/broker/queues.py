"""The names of queues and tasks: all that a process needs to know of the broker which only publishes."""

DISPATCH, ENQUEUE = "dispatcher.dispatch", "dispatcher.enqueue"
"""Queues and, with the same names, the tasks in them."""
KEY_PREFIX = "dispatcher:celery:"
"""Begins the keys of Redis that Celery uses; a queue is the list of that prefix and its name."""
