"""The addresses that a transport is given, checked before the first call."""

from __future__ import annotations

from urllib.parse import urlsplit

from requests import PreparedRequest, RequestException

from dispatcher.domain.errors import SettingsError


def checked_base_url(base_url: str) -> str:
    """Return the API's URL without a slash at its end.

    :raises SettingsError: it is none.
    """
    prepared = PreparedRequest()
    try:
        prepared.prepare_url(base_url, None)
    except RequestException:
        prepared.url = None
    if not prepared.url or urlsplit(prepared.url).scheme not in ("http", "https"):
        raise SettingsError(f"DISPATCHER_API_BASE_URL: {base_url!r} is not a URL; write it as https://api.example.com")
    return prepared.url.rstrip("/")


def checked_proxy(proxy: str | None) -> str | None:
    """Return a proxy's URL; None for none.

    :raises SettingsError: it is of a kind that cannot be used. Its text may hold a password, so it is not repeated.
    """
    if not proxy:
        return None
    if urlsplit(proxy).scheme not in ("http", "https") or not urlsplit(proxy).hostname:
        raise SettingsError(
            "DISPATCHER_PROXY: only HTTP proxies can be used; write it as http://proxy.example.com:3128"
        )
    return proxy
