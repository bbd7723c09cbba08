"""The SQL ledger: the queue and the truth. SQLAlchemy lives here and nowhere else."""

from dispatcher.ledger.after_campaigns import Delivery, FailureGroup
from dispatcher.ledger.books import Books
from dispatcher.ledger.bulk import Operation
from dispatcher.ledger.campaign_books import CampaignBooks
from dispatcher.ledger.campaigns import Campaign
from dispatcher.ledger.clock import LedgerClock
from dispatcher.ledger.engine import make_engine, wal_is_safe
from dispatcher.ledger.enqueue import Enqueued
from dispatcher.ledger.failures import Forecast, Group
from dispatcher.ledger.holds import CampaignHold, Hold
from dispatcher.ledger.inspection_books import InspectionBooks
from dispatcher.ledger.loading import Entry, Loaded, LoadPage
from dispatcher.ledger.operations import By, Resolution
from dispatcher.ledger.pauses import AUTOMATIC, Pause
from dispatcher.ledger.queries import Attempt, AuditEntry, Filter, Message, Tally, Waiting
from dispatcher.ledger.retention_books import RetentionBooks
from dispatcher.ledger.schema import HEAD, current, migrate, require_head
from dispatcher.ledger.sessions import after_commit
from dispatcher.ledger.sql_ledger import SqlLedger
from dispatcher.ledger.suppressions import OptOut, Suppression

__all__ = [
    "AUTOMATIC",
    "HEAD",
    "Attempt",
    "AuditEntry",
    "Books",
    "By",
    "Campaign",
    "CampaignBooks",
    "CampaignHold",
    "Delivery",
    "Enqueued",
    "Entry",
    "FailureGroup",
    "Filter",
    "Forecast",
    "Group",
    "Hold",
    "InspectionBooks",
    "LedgerClock",
    "LoadPage",
    "Loaded",
    "Message",
    "Operation",
    "OptOut",
    "Pause",
    "Resolution",
    "RetentionBooks",
    "SqlLedger",
    "Suppression",
    "Tally",
    "Waiting",
    "after_commit",
    "current",
    "make_engine",
    "migrate",
    "require_head",
    "wal_is_safe",
]
