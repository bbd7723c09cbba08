"""The spine: permits → token → claim → send → decide → settle. `pump.py` has the one loop; the rest keeps it honest."""

from dispatcher.engine.canary import Canary
from dispatcher.engine.pump import Pump, PumpShape
from dispatcher.engine.settling import Settling
from dispatcher.engine.spool import Spool
from dispatcher.engine.tick import Tick

__all__ = ["Canary", "Pump", "PumpShape", "Settling", "Spool", "Tick"]
