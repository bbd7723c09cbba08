"""Settle answers that lay in a spool: one that the ledger never takes must not hold up the others for ever."""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.domain.attempt import Settlement
from dispatcher.domain.errors import SettlementRefused
from dispatcher.engine.spool import Quarantined
from dispatcher.logs import get_logger
from dispatcher.ports import Ledger

log = get_logger(__name__)


def settle_spooled(ledger: Ledger, batch: Sequence[Settlement]) -> list[Quarantined]:
    """Settle answers, one by one if the ledger refuses the batch.

    :return: the answers to quarantine: the ledger refuses their values, or does not know their message.
    :raises LedgerUnavailable: the ledger cannot be used now; settling the same answers again is harmless.
    """
    try:
        taken = ledger.settle(batch)
    except SettlementRefused as error:
        if len(batch) == 1:
            return [_refused(batch[0], str(error))]
        return [found for each in batch for found in settle_spooled(ledger, [each])]
    unknown = ledger.unknown([each.message_id for each in batch if each.message_id not in taken])
    return [_refused(each, "the ledger has no message with this id") for each in batch if each.message_id in unknown]


def _refused(answer: Settlement, reason: str) -> Quarantined:
    log.error("settlement_refused", message=str(answer.message_id), reason=reason)
    return Quarantined(reason=reason, answer=answer)
