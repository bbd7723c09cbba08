"""A site that always has something of everything, whatever the request before it has used up."""

from __future__ import annotations

from datetime import timedelta

from dispatcher.domain.message import Channel
from dispatcher.domain.operation import Deed, Stage
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger import By, Filter
from tests.fuzz.site import CAMPAIGN, FATES, FORM_TOKEN, ID, NEW_NAME, OPERATION
from tests.making import NUMBER, gift, new_id, outcome, settled, sms, wish
from tests.web.conftest import Site


class Filled(Site):
    """A message of each fate, a bulk operation that runs, a campaign that is a draft."""

    def known(self) -> dict[str, str]:
        """Return what stands for what in a request."""
        return {
            **{ID + fate: self._message(state, channel) for fate, (state, channel) in FATES.items()},
            OPERATION: self._operation(),
            CAMPAIGN: self._campaign(),
            NEW_NAME: self._new_name(),
            FORM_TOKEN: self.token("/campaigns/new"),
        }

    def _message(self, state: State, channel: Channel) -> str:
        wanted = Filter(states=(state,), channel=channel)
        found = self.services.books.messages(wanted, limit=1)
        if not found:
            self._enqueue_and_settle()
            found = self.services.books.messages(wanted, limit=1)
        return str(found[0].id)

    def _enqueue_and_settle(self) -> None:
        services, now = self.services, self.services.clock.now()
        for channel in Channel:
            services.books.resume(channel, By(actor="test", reason="", now=now))
        card = gift(now)
        services.books.enqueue([*(sms(now, f"text {place}") for place in range(5)), card, gift(now)], source="test")
        for claimed in services.ledger.claim(wish(now, Channel.GIFT)).messages:
            kind = OutcomeKind.IN_DOUBT if claimed.id == card.id else OutcomeKind.REJECTED
            services.ledger.settle([settled(claimed, outcome(kind), now)])
        for claimed in services.ledger.claim(wish(now)).messages[1:]:
            services.ledger.settle([settled(claimed, outcome(OutcomeKind.REJECTED), now)])
        services.books.enqueue([sms(now + timedelta(minutes=1), "later")], source="test")

    def _operation(self) -> str:
        operator = self.services.operator("test")
        running = [each for each in operator.books.operations() if each.state is Stage.RUNNING]
        return str((running or [operator.begin(operator.plan(Deed.DISCARD, "state:dead"), reason="a test")])[0].id)

    def _campaign(self) -> str:
        campaigns = self.services.campaigns("test")
        for progress in campaigns.listed(limit=50):
            if progress.campaign.state is CampaignState.DRAFT:
                return progress.campaign.name
        name = self._new_name()
        return campaigns.create([str(NUMBER)], name=name, channel="sms", template="Hi").campaign.name

    def _new_name(self) -> str:
        return f"spring {new_id(self.services.clock.now())}"
