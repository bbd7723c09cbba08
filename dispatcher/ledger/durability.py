"""Which settings of the database may make it forget what it confirmed, such as the guard of a gift that was paid."""

from __future__ import annotations

from sqlalchemy import Engine, text

from dispatcher.ledger.engine import reading

_FOLLOWERS = """
SELECT count(*) FILTER (WHERE sync_state = 'async') AS behind,
       count(*) FILTER (WHERE sync_state IS NULL) AS unseen
  FROM pg_stat_replication
 WHERE application_name <> 'pg_basebackup'
"""


def durability_risks(engine: Engine) -> list[str]:
    """Return what is wrong, a sentence each; none on SQLite, whose sessions are set up in ``make_engine``.

    :raises LedgerUnavailable: the database cannot be asked.
    """
    if engine.dialect.name != "postgresql":
        return []
    with reading(engine) as connection:
        risks = [
            f"{setting} is off: a crash of the server may damage or forget what it confirmed"
            for setting in ("fsync", "full_page_writes")
            if connection.execute(text(f"SHOW {setting}")).scalar() == "off"
        ]
        behind, unseen = connection.execute(text(_FOLLOWERS)).one()
    if behind:
        standbys = "1 standby follows" if behind == 1 else f"{behind} standbys follow"
        risks.append(f"{standbys} asynchronously: after a failover it may lack guards of gifts that were sent")
    elif unseen:
        risks.append("standbys follow, and this role may not see whether they do so synchronously")
    return risks
