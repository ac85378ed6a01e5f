"""The server of a study: readers' pages behind personal links, their answers, and the administrator's page.

Nothing here opens the key. What a reader gets is the same for real and synthetic images but for the grey values: images
of one size, under addresses of one sitting and question, with the same headers, and no word about right or wrong.
"""

from __future__ import annotations

import errno
import hmac
import json
import logging
import os
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, render_template, request, url_for
from waitress.server import BaseWSGIServer, MultiSocketServer
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from tools.study.connections import limited_server
from tools.study.database import Answer, Database, Refused, Sitting
from tools.study.folder import ANSWERS, SURVEY_ANSWERS, Access, Reader, Study, load_access, load_study
from tools.study.order import Asked, image_address, reading_order
from tools.study.texts import languages, load_texts

logger = logging.getLogger(__name__)

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

COOKIE = "sitting"
"""Cookie of one reader: its path is the personal link."""

LONGEST_REQUEST = 64 * 1024
LONGEST_REASON = 2000
LONGEST_MS = 24 * 3600 * 1000
THREADS, CONNECTIONS, CONNECTIONS_OF_ONE = 16, 500, 100
LONGEST_HEADERS = 16 * 1024
LOCAL = "http://127.0.0.1:8080"


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
    _add_readers(app, study, access, answers)
    _add_admin(app, study, access, answers, address)

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


def _add_readers(app: Flask, study: Study, access: Access, answers: Database) -> None:
    by_token = {reader.token: reader for reader in access.readers}

    def for_reader(view: Callable) -> Callable:
        @wraps(view)
        def found(token: str, **rest: Any) -> Any:
            if token not in by_token:
                abort(404)
            if request.headers.get("Sec-Fetch-Site", "same-origin") == "cross-site" and request.method == "POST":
                abort(403)
            return view(by_token[token], **rest)

        return found

    def asked_now(reader: Reader, sitting: Sitting) -> Asked | None:
        """The question that a sitting has come to."""
        order = reading_order(study, access, reader, sitting.id)
        done = answers.answered(sitting.id)
        return order[done] if done < len(order) else None

    def own_sitting(reader: Reader, content: Mapping[str, Any]) -> Sitting:
        """The reader's sitting, if the request comes from the page that it was started in."""
        sitting = answers.last_sitting(reader.number)
        if sitting is None or not _equal(content.get("page"), sitting.page) or not _has_cookie(sitting):
            raise Refused("left")
        return sitting

    def described(reader: Reader, sitting: Sitting) -> dict[str, Any]:
        asked = asked_now(reader, sitting)
        if asked is None:
            return {"done": True}
        answers.show(sitting.id, asked.number)
        content = {
            "done": False,
            "number": asked.number,
            "total": len(study.questions),
            "section": asked.question.section,
            "number_in_section": asked.number_in_section,
            "section_total": asked.section_total,
            "images": [
                url_for("image", token=reader.token, name=image_address(access, sitting.cookie, asked.number, slot))
                for slot in range(len(asked.images))
            ],
        }
        if study.volumes:
            content |= {"plane": asked.question.plane, "position": asked.question.position}
        return content

    @app.get("/r/<token>")
    @for_reader
    def page(reader: Reader) -> str:
        language = _language(study)
        content = {
            "texts": load_texts(language),
            "display": study.display,
            "volumes": study.volumes,
            "urls": {name: url_for(name, token=reader.token) for name in ("start", "question", "answer", "leave")},
        }
        return render_template(
            "reader.html.j2",
            study=study,
            texts=load_texts(language),
            language=language,
            languages=languages(),
            state=_state(answers, reader),
            content=content,
            sections=[(s, sum(q.section == s for q in study.questions)) for s in study.sections],
        )

    @app.post("/r/<token>/start")
    @for_reader
    def start(reader: Reader) -> Response:
        page_key = _json().get("page")
        if not isinstance(page_key, str) or not re.fullmatch("[0-9a-f]{64}", page_key):
            raise Refused("invalid")
        sitting = answers.start(reader.number, secrets.token_hex(32), page_key)
        response = jsonify(started=True)
        response.set_cookie(
            COOKIE,
            sitting.cookie,
            path=url_for("page", token=reader.token),
            httponly=True,
            secure=request.is_secure,
            samesite="Strict",
        )
        return response

    @app.post("/r/<token>/question")
    @for_reader
    def question(reader: Reader) -> Response:
        sitting = own_sitting(reader, _json())
        if answers.closed() is not None and sitting.state != "finished":
            raise Refused("closed")
        if sitting.state == "abandoned":
            raise Refused("abandoned")
        return jsonify(described(reader, sitting))

    @app.post("/r/<token>/answer")
    @for_reader
    def answer(reader: Reader) -> Response:
        content = _json()
        sitting = own_sitting(reader, content)
        order = reading_order(study, access, reader, sitting.id)
        number = content.get("number")
        if type(number) is not int or not 1 <= number <= len(order):
            raise Refused("invalid")
        answers.answer(sitting.id, _checked_answer(order[number - 1], content), len(order))
        return jsonify(accepted=number)

    @app.post("/r/<token>/leave")
    @for_reader
    def leave(reader: Reader) -> Response:
        answers.leave(own_sitting(reader, _json()).id)
        return jsonify(left=True)

    @app.get("/r/<token>/image/<name>")
    @for_reader
    def image(reader: Reader, name: str) -> Response:
        sitting = answers.last_sitting(reader.number)
        if sitting is None or sitting.state != "open" or not _has_cookie(sitting) or answers.closed() is not None:
            abort(404)
        asked = asked_now(reader, sitting)
        for slot, file in enumerate(asked.images if asked else ()):
            if _equal(name, image_address(access, sitting.cookie, asked.number, slot)):
                content = study.image_file(file).read_bytes()
                return Response(content, mimetype="application/octet-stream" if study.volumes else "image/png")
        abort(404)

    def _has_cookie(sitting: Sitting) -> bool:
        return _equal(request.cookies.get(COOKIE), sitting.cookie)


def _add_admin(app: Flask, study: Study, access: Access, answers: Database, address: str) -> None:
    numbers = {reader.number for reader in access.readers}

    def for_admin(view: Callable) -> Callable:
        @wraps(view)
        def found(token: str, **rest: Any) -> Any:
            if not _equal(token, access.admin):
                abort(404)
            return view(**rest)

        return found

    @app.get("/admin/<token>")
    @for_admin
    def admin() -> str:
        readers = {reader.number: reader for reader in access.readers}
        latest = {sitting.reader: sitting for sitting in answers.sittings()}
        rows = []
        for number, reader in readers.items():
            sitting = latest.get(number)
            rows.append(
                {
                    "number": number,
                    "name": reader.name,
                    "link": reader_link(address, reader),
                    "state": "not started" if sitting is None or sitting.released else sitting.state,
                    "reason": sitting.reason if sitting else "",
                    "answered": answers.answered(sitting.id) if sitting and not sitting.released else 0,
                    "started": _time(sitting.started) if sitting else "",
                    "last": _time(answers.last_received(sitting.id)) if sitting else "",
                    "can_release": sitting is not None and sitting.state == "abandoned" and not sitting.released,
                }
            )
        language = _language(study)
        return render_template(
            "admin.html.j2",
            study=study,
            texts=load_texts(language),
            language=language,
            languages=languages(),
            rows=rows,
            total=len(study.questions),
            closed=_time(answers.closed()),
            token=access.admin,
        )

    @app.post("/admin/<token>/close")
    @for_admin
    def close() -> Response:
        if request.form.get("sure") != "yes":
            abort(400)
        answers.close()
        return redirect(url_for("admin", token=access.admin, language=_language(study)), 303)

    @app.post("/admin/<token>/release/<int:number>")
    @for_admin
    def release(number: int) -> Response:
        if number not in numbers:
            abort(404)
        answers.release(number)
        return redirect(url_for("admin", token=access.admin, language=_language(study)), 303)


def _checked_answer(asked: Asked, content: Mapping[str, Any]) -> Answer:
    """Return what a page sent, as an answer.

    Raises:
        Refused: "invalid" for what the page never sends.
    """
    question = asked.question
    choice, difficulty, reason = content.get("choice"), content.get("difficulty"), content.get("reason", "")
    if question.section == "survey":
        valid = choice in SURVEY_ANSWERS
    else:
        valid = type(choice) is int and choice in (0, 1)
        choice = asked.images[choice] if valid else choice
    if question.section == "origin":
        valid = valid and type(difficulty) is int and 1 <= difficulty <= 5
    else:
        valid = valid and difficulty is None
    milliseconds = content.get("ms")
    if milliseconds is not None:
        valid = valid and type(milliseconds) in (int, float) and 0 <= milliseconds <= LONGEST_MS
    if not valid or not isinstance(reason, str) or len(reason) > LONGEST_REASON:
        raise Refused("invalid")
    return Answer(asked.number, question.id, " ".join(asked.images), choice, difficulty, reason.strip(), milliseconds)


def _json() -> Mapping[str, Any]:
    """Return what was sent. Another site's form cannot send JSON.

    Raises:
        Refused: "invalid" for what is no JSON object, or holds half a surrogate, which is no text and cannot be kept.
    """
    try:
        content = request.get_json(silent=True) if request.is_json else None
        json.dumps(content, ensure_ascii=False).encode()
    except (RecursionError, UnicodeEncodeError) as error:
        raise Refused("invalid") from error
    if not isinstance(content, dict):
        raise Refused("invalid")
    return content


def _equal(given: Any, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _state(answers: Database, reader: Reader) -> str:
    """Return what the page begins with: "ready", "open", "finished", "abandoned" or "closed"."""
    sitting = answers.last_sitting(reader.number)
    if sitting is not None and sitting.state == "finished":
        return "finished"
    if answers.closed() is not None:
        return "closed"
    if sitting is None or (sitting.state == "abandoned" and sitting.released):
        return "ready"
    return sitting.state


def _language(study: Study) -> str:
    wanted = request.args.get("language", study.language)
    return wanted if wanted in languages() else study.language


def _time(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def reader_link(address: str, reader: Reader) -> str:
    """The personal link of a reader, at an address such as https://study.example.org."""
    return f"{address.rstrip('/')}/r/{reader.token}"


def links(access: Access, address: str) -> list[tuple[str, str]]:
    """Return the personal link of everyone, by name, at an address such as https://study.example.org."""
    administrator = f"{address.rstrip('/')}/admin/{access.admin}"
    return [("administrator", administrator)] + [
        (reader.name, reader_link(address, reader)) for reader in access.readers
    ]


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
