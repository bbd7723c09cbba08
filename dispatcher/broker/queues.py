"""The names of queues and tasks: all that a process needs to know of the broker which only publishes."""

DISPATCH, ENQUEUE, CLOCK = "dispatcher.dispatch", "dispatcher.enqueue", "dispatcher.clock"
"""Queues and, with the same names but for the clock's, the tasks in them."""
TICK = "dispatcher.tick"
BEAT_LIFE_SECONDS = 5
"""How long a beat that nobody has taken up is good for."""
KEY_PREFIX = "dispatcher:celery:"
"""Begins the keys of Redis that Celery uses; a queue is the list of that prefix and its name."""
