"""Campaigns: a file of recipients becomes a burst that is exact, on time, and can be stopped at any moment."""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.campaigns.dry_run import DryRun
    from dispatcher.campaigns.intake import Loading
    from dispatcher.campaigns.use_cases import Campaigns, Created
else:
    __getattr__ = exports(
        __name__,
        {
            "dry_run": ["DryRun"],
            "intake": ["Loading"],
            "use_cases": ["Campaigns", "Created"],
        },
    )

__all__ = ["Campaigns", "Created", "DryRun", "Loading"]
