"""The spine: permits → token → claim → send → decide → settle. `pump.py` has the one loop; the rest keeps it honest."""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.engine.canary import Canary
    from dispatcher.engine.pump import Pump, PumpShape
    from dispatcher.engine.settling import Settling
    from dispatcher.engine.spool import Spool
    from dispatcher.engine.tick import Tick
else:
    __getattr__ = exports(
        __name__,
        {
            "canary": ["Canary"],
            "pump": ["Pump", "PumpShape"],
            "settling": ["Settling"],
            "spool": ["Spool"],
            "tick": ["Tick"],
        },
    )

__all__ = ["Canary", "Pump", "PumpShape", "Settling", "Spool", "Tick"]
