"""The API explorer: Swagger UI over the OpenAPI document, with its assets from an installed package, never a CDN.

The package carries Swagger UI 4, which draws OpenAPI 3.0 and turns 3.1 away. The document uses only what the two
versions share, so the page asks for it with `?version=3.0`.
"""

from importlib.resources import files
from pathlib import Path

from aiohttp import web

from dispatcher.sandbox.openapi import document
from dispatcher.sandbox.refusal import invalid_request

ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_VERSIONS = {"3.1": "3.1.0", "3.0": "3.0.3"}
_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Sandbox API explorer</title>
  <link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
  <link rel="stylesheet" href="/docs/swagger-ui.css">
  <style>body { margin: 0; background: #fafafa; }</style>
</head>
<body>
  <div id="explorer"></div>
  <noscript>The explorer needs JavaScript; what it shows is at <a href="/openapi.json">/openapi.json</a>.</noscript>
  <script src="/docs/swagger-ui-bundle.js"></script>
  <script src="/docs/explorer.js"></script>
</body>
</html>
"""
_SCRIPT = """window.ui = SwaggerUIBundle({
  url: "/openapi.json?version=3.0",
  dom_id: "#explorer",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: true,
  tryItOutEnabled: true,
  presets: [SwaggerUIBundle.presets.apis],
});
window.ui.initOAuth({ clientId: "", scopes: "read write gifting:send" });
"""
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


class Explorer:
    """The handlers of the explorer page and the OpenAPI document."""

    def routes(self) -> list[web.AbstractRouteDef]:
        """Where each page is."""
        return [
            web.get("/", self.go_to_page),
            web.get("/docs", self.show_page),
            web.get("/docs/explorer.js", self.show_script),
            web.get("/docs/{asset}", self.show_asset),
            web.get("/openapi.json", self.show_document),
        ]

    async def go_to_page(self, _request: web.Request) -> web.Response:
        """Whoever opens the base URL in a browser wants the explorer."""
        return web.Response(status=302, headers={"Location": "/docs"})

    async def show_page(self, _request: web.Request) -> web.Response:
        """The page itself."""
        return web.Response(text=_PAGE, content_type="text/html", headers={"Content-Security-Policy": _POLICY})

    async def show_script(self, _request: web.Request) -> web.Response:
        """What starts Swagger UI; a file of its own, as the page's policy runs no inline script."""
        return web.Response(text=_SCRIPT, content_type="text/javascript")

    async def show_asset(self, request: web.Request) -> web.StreamResponse:
        """One of Swagger UI's files."""
        asset = request.match_info["asset"]
        if asset not in ASSETS:
            raise web.HTTPNotFound
        return web.FileResponse(_assets_folder() / asset, headers={"Content-Type": ASSETS[asset]})

    async def show_document(self, request: web.Request) -> web.Response:
        """The OpenAPI document, 3.1 unless `version` asks for 3.0; its URLs are those the caller used."""
        version = request.query.get("version", "3.1")
        if version not in _VERSIONS:
            raise invalid_request("version: wants 3.1 or 3.0")
        return web.json_response(document(f"{request.scheme}://{request.host}", _VERSIONS[version]))


def _assets_folder() -> Path:
    """The newest Swagger UI in the package, found by looking, as the folder's name changes with its version."""
    found = sorted(Path(str(files("swagger_ui_bundle"))).glob("vendor/swagger-ui-*"))
    if not found:
        raise web.HTTPNotFound
    return found[-1]
