"""What operators look at and act on: the state of the whole, one message's story, failures in groups and in bulk."""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.inspection.curl import as_curl
    from dispatcher.inspection.desk import GIVEN_UP, Desk, InDoubt, Plan, Standing
    from dispatcher.inspection.mending import Changes, check_moment
    from dispatcher.inspection.pruning import Pruning
    from dispatcher.inspection.status import ChannelStatus, Status, read_status
    from dispatcher.inspection.story import Chapter, tell
else:
    __getattr__ = exports(
        __name__,
        {
            "curl": ["as_curl"],
            "desk": ["GIVEN_UP", "Desk", "InDoubt", "Plan", "Standing"],
            "mending": ["Changes", "check_moment"],
            "pruning": ["Pruning"],
            "status": ["ChannelStatus", "Status", "read_status"],
            "story": ["Chapter", "tell"],
        },
    )

__all__ = [
    "GIVEN_UP",
    "Changes",
    "ChannelStatus",
    "Chapter",
    "Desk",
    "InDoubt",
    "Plan",
    "Pruning",
    "Standing",
    "Status",
    "as_curl",
    "check_moment",
    "read_status",
    "tell",
]
