"""The SQL ledger: the queue and the truth. SQLAlchemy lives here and nowhere else."""

from dispatcher.ledger.clock import LedgerClock
from dispatcher.ledger.engine import make_engine, wal_is_safe
from dispatcher.ledger.enqueue import Enqueued, enqueue
from dispatcher.ledger.pauses import AUTOMATIC, Pause
from dispatcher.ledger.sql_ledger import SqlLedger

__all__ = ["AUTOMATIC", "Enqueued", "LedgerClock", "Pause", "SqlLedger", "enqueue", "make_engine", "wal_is_safe"]
