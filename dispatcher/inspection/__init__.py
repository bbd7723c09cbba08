"""What operators look at and act on: the state of the whole, the story of one message."""

from dispatcher.inspection.status import ChannelStatus, Status, read_status
from dispatcher.inspection.story import Chapter, tell

__all__ = ["ChannelStatus", "Chapter", "Status", "read_status", "tell"]
