"""The use cases of operators, each once: the command line and the pages parse, call these and render."""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.admin.actor import Actor, Role
    from dispatcher.admin.curl import as_curl
    from dispatcher.admin.editing import MessageEdit, check_moment
    from dispatcher.admin.named_replay import LeftOut, NamedReplay, plan_named_replay, run_named_replay
    from dispatcher.admin.pruning import Pruning
    from dispatcher.admin.service import (
        GIVEN_UP,
        ChannelPaused,
        ChannelResumed,
        InDoubt,
        OperationProgress,
        OperatorService,
        Plan,
    )
    from dispatcher.admin.status import ChannelStatus, Status, read_status
    from dispatcher.admin.timeline import TimelineEvent, build_timeline
else:
    __getattr__ = exports(
        __name__,
        {
            "actor": ["Actor", "Role"],
            "curl": ["as_curl"],
            "editing": ["MessageEdit", "check_moment"],
            "named_replay": ["LeftOut", "NamedReplay", "plan_named_replay", "run_named_replay"],
            "pruning": ["Pruning"],
            "service": [
                "GIVEN_UP",
                "ChannelPaused",
                "ChannelResumed",
                "InDoubt",
                "OperationProgress",
                "OperatorService",
                "Plan",
            ],
            "status": ["ChannelStatus", "Status", "read_status"],
            "timeline": ["TimelineEvent", "build_timeline"],
        },
    )

__all__ = [
    "GIVEN_UP",
    "Actor",
    "ChannelPaused",
    "ChannelResumed",
    "ChannelStatus",
    "InDoubt",
    "LeftOut",
    "MessageEdit",
    "NamedReplay",
    "OperationProgress",
    "OperatorService",
    "Plan",
    "Pruning",
    "Role",
    "Status",
    "TimelineEvent",
    "as_curl",
    "build_timeline",
    "check_moment",
    "plan_named_replay",
    "read_status",
    "run_named_replay",
]
