"""From a failure group to the query that finds its messages."""

from __future__ import annotations

from dispatcher.ledger import Group


def query_of(group: Group) -> str:
    """Return the query that finds exactly the group's messages among the given-up ones."""
    words = [f"channel:{group.channel.value}"]
    if group.outcome is not None:
        words.append(f"outcome:{group.outcome}")
    if group.status is not None:
        words.append(f"status:{group.status}")
    if group.failure is not None:
        words.append(
            f'failure:"{group.failure}"' if '"' not in group.failure else f"failure:{group.failure.split()[0]}*"
        )
    return " ".join(words)
