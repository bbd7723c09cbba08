"""How the dispatcher tells what it does: logs as events with fields."""

from dispatcher.telemetry.logs import configure_logs, silence_logs

__all__ = ["configure_logs", "silence_logs"]
