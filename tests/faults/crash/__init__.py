"""Crash points: processes that die at a named place, and the house in which others go on."""
