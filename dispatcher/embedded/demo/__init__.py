"""The demo: a burst through an API that misbehaves, watched as it goes, and books that balance at the end."""
