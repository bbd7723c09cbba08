"""The SQL ledger: the queue and the truth. SQLAlchemy lives here and nowhere else."""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.ledger.after_campaigns import Delivery, FailureGroup
    from dispatcher.ledger.autogenerate import include_name
    from dispatcher.ledger.books import Books
    from dispatcher.ledger.broker_intake import BrokerIntake
    from dispatcher.ledger.bulk import Operation
    from dispatcher.ledger.campaign_books import CampaignBooks
    from dispatcher.ledger.campaigns import Campaign
    from dispatcher.ledger.clock import LedgerClock
    from dispatcher.ledger.closed import Closed
    from dispatcher.ledger.deadlines import PATIENT, PROBE, PROMPT, UNHURRIED, Deadlines
    from dispatcher.ledger.durability import durability_risks
    from dispatcher.ledger.engine import make_engine, sqlite_file, wal_is_safe
    from dispatcher.ledger.enqueue import Enqueued
    from dispatcher.ledger.failures import Forecast, Group
    from dispatcher.ledger.holds import CampaignHold, Hold
    from dispatcher.ledger.inspection_books import InspectionBooks
    from dispatcher.ledger.loading import Entry, Loaded, LoadPage
    from dispatcher.ledger.operations import By, Resolution
    from dispatcher.ledger.outbox import Outbox
    from dispatcher.ledger.pauses import AUTOMATIC, Pause
    from dispatcher.ledger.queries import Attempt, AuditEntry, Filter, Message, Tally, Waiting
    from dispatcher.ledger.retention_books import RetentionBooks
    from dispatcher.ledger.schema import HEAD, MigrationWait, current, migrate, require_head, require_writable
    from dispatcher.ledger.sessions import after_commit
    from dispatcher.ledger.sql_ledger import SqlLedger
    from dispatcher.ledger.suppressions import OptOut, Suppression
else:
    __getattr__ = exports(
        __name__,
        {
            "after_campaigns": ["Delivery", "FailureGroup"],
            "autogenerate": ["include_name"],
            "books": ["Books"],
            "broker_intake": ["BrokerIntake"],
            "bulk": ["Operation"],
            "campaign_books": ["CampaignBooks"],
            "campaigns": ["Campaign"],
            "clock": ["LedgerClock"],
            "closed": ["Closed"],
            "deadlines": ["PATIENT", "PROBE", "PROMPT", "UNHURRIED", "Deadlines"],
            "durability": ["durability_risks"],
            "engine": ["make_engine", "sqlite_file", "wal_is_safe"],
            "enqueue": ["Enqueued"],
            "failures": ["Forecast", "Group"],
            "holds": ["CampaignHold", "Hold"],
            "inspection_books": ["InspectionBooks"],
            "loading": ["Entry", "Loaded", "LoadPage"],
            "operations": ["By", "Resolution"],
            "outbox": ["Outbox"],
            "pauses": ["AUTOMATIC", "Pause"],
            "queries": ["Attempt", "AuditEntry", "Filter", "Message", "Tally", "Waiting"],
            "retention_books": ["RetentionBooks"],
            "schema": ["HEAD", "MigrationWait", "current", "migrate", "require_head", "require_writable"],
            "sessions": ["after_commit"],
            "sql_ledger": ["SqlLedger"],
            "suppressions": ["OptOut", "Suppression"],
        },
    )

__all__ = [
    "AUTOMATIC",
    "HEAD",
    "PATIENT",
    "PROBE",
    "PROMPT",
    "UNHURRIED",
    "Attempt",
    "AuditEntry",
    "Books",
    "BrokerIntake",
    "By",
    "Campaign",
    "CampaignBooks",
    "CampaignHold",
    "Closed",
    "Deadlines",
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
    "MigrationWait",
    "Operation",
    "OptOut",
    "Outbox",
    "Pause",
    "Resolution",
    "RetentionBooks",
    "SqlLedger",
    "Suppression",
    "Tally",
    "Waiting",
    "after_commit",
    "current",
    "durability_risks",
    "include_name",
    "make_engine",
    "migrate",
    "require_head",
    "require_writable",
    "sqlite_file",
    "wal_is_safe",
]
