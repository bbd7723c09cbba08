"""Celery: moves the work between machines. It carries no content and no due times; losing all of it loses nothing."""

from dispatcher.broker.app import make_app, make_ringing_app
from dispatcher.broker.bell import CeleryBell
from dispatcher.broker.sealed import seal, unseal
from dispatcher.broker.tasks import Work, register
from dispatcher.broker.worker import Stop, run_clock, run_worker

__all__ = [
    "CeleryBell",
    "Stop",
    "Work",
    "make_app",
    "make_ringing_app",
    "register",
    "run_clock",
    "run_worker",
    "seal",
    "unseal",
]
