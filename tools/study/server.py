"""The server of a study: readers' pages behind personal links, their answers, and the administrator's page.

Nothing here opens the key. What a reader gets is the same for real and synthetic images but for the grey values: images
of one size, under addresses of one sitting and question, with the same headers, and no word about right or wrong.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from flask import Flask, Response, jsonify
from waitress.server import BaseWSGIServer, MultiSocketServer
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from tools.study.administrators_page import add_administrators_page
from tools.study.connections import limited_server
from tools.study.database import Database, Refused
from tools.study.folder import ANSWERS, load_access, load_study
from tools.study.links import LOCAL
from tools.study.readers_pages import add_readers_pages

PAGES = Path(__file__).parent / "pages"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
"""Sent with everything: nothing is kept, nothing comes from elsewhere, and links do not leak."""

STATUS = {"conflict": 409, "invalid": 400, "left": 403, "closed": 403, "finished": 403, "abandoned": 403}

LONGEST_REQUEST = 64 * 1024
THREADS, CONNECTIONS, CONNECTIONS_OF_ONE = 16, 500, 100
LONGEST_HEADERS = 16 * 1024


def make_app(
    study_dir: str | os.PathLike,
    database: str | os.PathLike | None = None,
    proxies: int = 0,
    address: str = LOCAL,
) -> Flask:
    """The study as a web application.

    Args:
        study_dir: folder written by `tools.study.build`.
        database: file of the answers; None takes `answers.sqlite` in the study folder.
        proxies: number of proxies before the server, whose X-Forwarded headers are then believed.
        address: address that readers open; the links on the administrator's page begin with it, whatever a request's
            Host says.

    Raises:
        FileNotFoundError: there is no study.
        ValueError: the database is that of another study.
    """
    study, access = load_study(study_dir), load_access(study_dir)
    answers = Database(database or Path(study_dir) / ANSWERS, study.fingerprint)
    app = Flask("study", static_folder=str(PAGES / "static"), template_folder=str(PAGES))
    app.config.update(MAX_CONTENT_LENGTH=LONGEST_REQUEST, SEND_FILE_MAX_AGE_DEFAULT=0)
    app.jinja_env.autoescape = True  # Flask's own choice goes by the ending .html, which *.html.j2 has not
    app.url_map.merge_slashes = False  # werkzeug redirects //r/x to an address made of the request's Host
    if proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies, x_prefix=proxies)
    add_readers_pages(app, study, access, answers)
    add_administrators_page(app, study, access, answers, address)

    @app.after_request
    def headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def plain(error: HTTPException) -> tuple[str, int, dict[str, str]]:
        return f"{error.code} {error.name}\n", error.code or 500, {"Content-Type": "text/plain; charset=utf-8"}

    @app.errorhandler(Refused)
    def refused(error: Refused) -> tuple[Response, int]:
        return jsonify(error=error.code), STATUS[error.code]

    return app


def listening(app: Flask, host: str, port: int, proxies: int = 0) -> BaseWSGIServer | MultiSocketServer:
    """A server that listens, without telling with what, and is not running yet; ``proxies`` as for `make_app`.

    Raises:
        ValueError: the server cannot listen there: another program does, the port is not for everybody, or the host is
            none of this computer.
    """
    try:
        return limited_server(
            app,
            # behind a proxy all connections come from one address: there the proxy has to limit them
            of_one=None if proxies else CONNECTIONS_OF_ONE,
            host=host,
            port=port,
            threads=THREADS,
            connection_limit=CONNECTIONS,
            max_request_header_size=LONGEST_HEADERS,
            max_request_body_size=LONGEST_REQUEST,
            ident=None,
            # waitress would take away what a proxy says before the application sees it
            clear_untrusted_proxy_headers=not proxies,
        )
    except OSError as error:
        remedies = {
            errno.EADDRINUSE: f"another program listens there, a study perhaps; stop it, or take another --port, "
            f"such as {port + 1 if port < 65535 else 8080}",
            errno.EACCES: "ports below 1024 are the system's; take a --port from there up, such as 8080",
            errno.EADDRNOTAVAIL: "it is no address of this computer; give one as --host, or 0.0.0.0 for all",
        }
        reason = remedies.get(error.errno, f"{error.strerror or error}; look at --host and --port")
        raise ValueError(f"the study cannot be served at port {port} of {host}: {reason}") from error
