"""Campaigns: a file of recipients becomes a burst that is exact, on time, and can be stopped at any moment."""

from dispatcher.campaigns.dry_run import DryRun
from dispatcher.campaigns.intake import Loading
from dispatcher.campaigns.use_cases import Campaigns, Created

__all__ = ["Campaigns", "Created", "DryRun", "Loading"]
