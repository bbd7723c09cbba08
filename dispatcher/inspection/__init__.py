"""What operators look at and act on: the state of the whole, one message's story, failures in groups and in bulk."""

from dispatcher.inspection.desk import GIVEN_UP, Desk, Plan, Standing
from dispatcher.inspection.status import ChannelStatus, Status, read_status
from dispatcher.inspection.story import Chapter, tell

__all__ = ["GIVEN_UP", "ChannelStatus", "Chapter", "Desk", "Plan", "Standing", "Status", "read_status", "tell"]
