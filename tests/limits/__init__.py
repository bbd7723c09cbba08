"""The limiter on real servers. Waits are real and short, or ``fleet.let_pass`` moves Redis' state into the past."""
