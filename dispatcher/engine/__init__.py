"""The spine: permits → token → claim → send → decide → settle. `pump.py` has the one loop; the rest keeps it honest."""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.engine.canary import Canary
    from dispatcher.engine.held_answers import HeldAnswers
    from dispatcher.engine.pump import Pump, PumpShape
    from dispatcher.engine.settling import Settling
    from dispatcher.engine.spool import Quarantined, Spool
    from dispatcher.engine.tick import Tick
else:
    __getattr__ = exports(
        __name__,
        {
            "canary": ["Canary"],
            "held_answers": ["HeldAnswers"],
            "pump": ["Pump", "PumpShape"],
            "settling": ["Settling"],
            "spool": ["Quarantined", "Spool"],
            "tick": ["Tick"],
        },
    )

__all__ = ["Canary", "HeldAnswers", "Pump", "PumpShape", "Quarantined", "Settling", "Spool", "Tick"]
