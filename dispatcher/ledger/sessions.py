"""The caller's own transaction: do something once it has committed for good, and never if it did not."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import event
from sqlalchemy.orm import Session, scoped_session

_PENDING = "dispatcher_after_commit"


def after_commit(session: Session, then: Callable[[], object]) -> None:
    """Call ``then`` once after the outermost transaction of a session commits.

    A savepoint's release is no commit, and a rollback forgets it. Called several times in one transaction, the last
    one counts: one ring stands for all.
    """
    session = plain_session(session)
    session.info[_PENDING] = then
    if not event.contains(session, "after_commit", _committed):
        event.listen(session, "after_commit", _committed)
        event.listen(session, "after_rollback", _rolled_back)


def plain_session(session: Session | scoped_session[Session]) -> Session:
    """Return the session behind a ``scoped_session``, or the session itself."""
    return session() if isinstance(session, scoped_session) else session


def _committed(session: Session) -> None:
    if not session.in_nested_transaction():
        then = session.info.pop(_PENDING, None)
        if then is not None:
            then()


def _rolled_back(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(_PENDING, None)
