"""Celery: moves the work between machines. It carries no content and no due times; losing all of it loses nothing."""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.broker.app import make_app, make_intake_app, make_ringing_app
    from dispatcher.broker.bell import CeleryBell
    from dispatcher.broker.clock import run_clock
    from dispatcher.broker.companion import Companion
    from dispatcher.broker.duties import RedisDutyReports
    from dispatcher.broker.sealed import seal, sealed_at, unseal
    from dispatcher.broker.tasks import Work, register
    from dispatcher.broker.worker import Stop, run_intake, run_worker
else:
    __getattr__ = exports(
        __name__,
        {
            "app": ["make_app", "make_intake_app", "make_ringing_app"],
            "bell": ["CeleryBell"],
            "clock": ["run_clock"],
            "companion": ["Companion"],
            "duties": ["RedisDutyReports"],
            "sealed": ["seal", "sealed_at", "unseal"],
            "tasks": ["Work", "register"],
            "worker": ["Stop", "run_intake", "run_worker"],
        },
    )

__all__ = [
    "CeleryBell",
    "Companion",
    "RedisDutyReports",
    "Stop",
    "Work",
    "make_app",
    "make_intake_app",
    "make_ringing_app",
    "register",
    "run_clock",
    "run_intake",
    "run_worker",
    "seal",
    "sealed_at",
    "unseal",
]
