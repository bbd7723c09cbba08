"""`dispatcher token`: an access token for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dispatcher.cli.options import AsJson
from dispatcher.cli.session import open_services
from dispatcher.domain.errors import DispatcherError, ScopeMissing, TokenUnavailable

if TYPE_CHECKING:
    from dispatcher.ports import Token
    from dispatcher.wiring import Services


def token(
    scope: Annotated[
        str | None,
        typer.Option("--scope", metavar="SCOPE", help="A scope it must have been granted; any of the settings' else."),
    ] = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Print the token itself, and nothing else on standard output.")
    ] = False,
    renew: Annotated[
        bool, typer.Option("--renew", help="Fetch a new token first, although the present one may still be good.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the access token that all workers share.

    It is masked unless --reveal prints it; if there is none yet, one is fetched and shared. With --renew a new one is
    fetched in any case: workers take it when the API refuses theirs, or when theirs is due for a refresh.

    Example:
      curl -H "Authorization: Bearer $(dispatcher token --reveal)" "$DISPATCHER_API_BASE_URL/test-oauth2"
    """
    from dispatcher.cli import screen
    from dispatcher.cli.when import in_words

    with open_services() as services:
        try:
            if renew:
                services.tokens.renew()
            held = _token(services, scope)
        except ScopeMissing:
            raise
        except TokenUnavailable as trouble:
            again = f"; asked again in {in_words(trouble.retry_after)} at the earliest"
            raise DispatcherError(f"{trouble.reason}{again}") from None
        state = services.tokens.state()
    if as_json:
        screen.print_json(
            {
                "access_token": held.value if reveal else None,
                "token_type": "Bearer",
                "scopes": held.scopes,
                "generation": held.generation,
                "age_s": state.age,
                "refresh_in_s": state.refresh_in,
                "expires_in_s": state.expires_in,
            }
        )
        return
    if reveal:
        typer.echo(held.value)
        return
    rows = [
        ("token", f"{_masked(held.value)} (--reveal prints it)"),
        ("scopes", screen.inert(" ".join(sorted(held.scopes)) or "none")),
        ("generation", str(held.generation)),
    ]
    if state.age is not None and state.refresh_in is not None and state.expires_in is not None:
        rows.append(("age", in_words(state.age)))
        rows.append(("next refresh", f"in {in_words(state.refresh_in)}"))
        rows.append(("trusted for", in_words(state.expires_in)))
    screen.show(screen.facts(rows))


def _token(services: Services, scope: str | None) -> Token:
    """Return a token with the scope; without one, with whichever of the settings' scopes was granted."""
    wanted = [scope] if scope else sorted(services.settings.scope_set) or [""]
    for one in wanted[:-1]:
        try:
            return services.tokens.token(one)
        except ScopeMissing:
            continue
    return services.tokens.token(wanted[-1])


def _masked(value: str) -> str:
    return f"{value[: min(4, len(value) // 8)]}… {len(value)} characters"
