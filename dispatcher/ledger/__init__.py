"""The SQL ledger: the queue and the truth. SQLAlchemy lives here and nowhere else."""

from dispatcher.ledger.books import Books
from dispatcher.ledger.clock import LedgerClock
from dispatcher.ledger.engine import make_engine, wal_is_safe
from dispatcher.ledger.enqueue import Enqueued
from dispatcher.ledger.operations import By, Resolution
from dispatcher.ledger.pauses import AUTOMATIC, Pause
from dispatcher.ledger.queries import Attempt, AuditEntry, Filter, Message, Tally, Waiting
from dispatcher.ledger.schema import current, head, migrate, require_head
from dispatcher.ledger.sessions import after_commit
from dispatcher.ledger.sql_ledger import SqlLedger

__all__ = [
    "AUTOMATIC",
    "Attempt",
    "AuditEntry",
    "Books",
    "By",
    "Enqueued",
    "Filter",
    "LedgerClock",
    "Message",
    "Pause",
    "Resolution",
    "SqlLedger",
    "Tally",
    "Waiting",
    "after_commit",
    "current",
    "head",
    "make_engine",
    "migrate",
    "require_head",
    "wal_is_safe",
]
