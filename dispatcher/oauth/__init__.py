"""The access token (OAuth 2 client credentials), shared by every process on every machine.

``SharedTokenSource`` finds a token in its own hand, else in Redis (``store``, sealed), else asks the API for one
(``mint``) under a lock, so that a fleet of any size makes one token call per expiry.
"""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.oauth.mint import Mint
    from dispatcher.oauth.source import SharedTokenSource
    from dispatcher.oauth.store import TokenStore
    from dispatcher.oauth.token import Credentials
else:
    __getattr__ = exports(
        __name__,
        {
            "mint": ["Mint"],
            "source": ["SharedTokenSource"],
            "store": ["TokenStore"],
            "token": ["Credentials"],
        },
    )

__all__ = ["Credentials", "Mint", "SharedTokenSource", "TokenStore"]
