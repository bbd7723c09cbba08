"""The Lua files beside this one, and the error for when Redis cannot run them."""

from __future__ import annotations

from importlib.resources import files

from redis.exceptions import RedisError

from dispatcher.domain.errors import BrokerUnavailable


def script_text(name: str) -> str:
    """Return the text of a Lua file of this folder."""
    return files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")


def unavailable(error: RedisError) -> BrokerUnavailable:
    """Name the fault without its text, which may repeat a command's arguments."""
    return BrokerUnavailable(
        f"Redis cannot be used for the access token ({type(error).__name__}): check DISPATCHER_REDIS_URL and the server"
    )
