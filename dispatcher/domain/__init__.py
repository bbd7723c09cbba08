"""Every decision of the dispatcher, as pure functions over frozen values: no I/O, no clock, no dice."""
