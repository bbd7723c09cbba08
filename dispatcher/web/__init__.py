"""The operator's pages: server-rendered, over the same queries as the command line. Work without JavaScript."""

from dispatcher.web.app import make_web
from dispatcher.web.people import make_hash
from dispatcher.web.serve import serve_web

__all__ = ["make_hash", "make_web", "serve_web"]
