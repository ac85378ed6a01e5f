"""What a reader opens and sends: the page behind a personal link, its questions and images, and the answers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from flask import Flask, Response, abort, jsonify, render_template, request, url_for

from tools.study.database import Answer, Database, Refused, Sitting
from tools.study.folder import SURVEY_ANSWERS, Access, Reader, Study
from tools.study.order import Asked, image_address, reading_order
from tools.study.requests import equal, language_of, sent
from tools.study.texts import languages, load_texts

COOKIE = "sitting"
"""Cookie of one reader: its path is the personal link."""

LONGEST_REASON = 2000
LONGEST_MS = 24 * 3600 * 1000


def add_readers_pages(app: Flask, study: Study, access: Access, answers: Database) -> None:
    """Add what lies behind the personal links."""
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
        if sitting is None or not equal(content.get("page"), sitting.page) or not has_cookie(sitting):
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
        language = language_of(study)
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
        page_key = sent().get("page")
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
        sitting = own_sitting(reader, sent())
        if answers.closed() is not None and sitting.state != "finished":
            raise Refused("closed")
        if sitting.state == "abandoned":
            raise Refused("abandoned")
        return jsonify(described(reader, sitting))

    @app.post("/r/<token>/answer")
    @for_reader
    def answer(reader: Reader) -> Response:
        content = sent()
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
        answers.leave(own_sitting(reader, sent()).id)
        return jsonify(left=True)

    @app.get("/r/<token>/image/<name>")
    @for_reader
    def image(reader: Reader, name: str) -> Response:
        sitting = answers.last_sitting(reader.number)
        if sitting is None or sitting.state != "open" or not has_cookie(sitting) or answers.closed() is not None:
            abort(404)
        asked = asked_now(reader, sitting)
        for slot, file in enumerate(asked.images if asked else ()):
            if equal(name, image_address(access, sitting.cookie, asked.number, slot)):
                content = study.image_file(file).read_bytes()
                return Response(content, mimetype="application/octet-stream" if study.volumes else "image/png")
        abort(404)

    def has_cookie(sitting: Sitting) -> bool:
        return equal(request.cookies.get(COOKIE), sitting.cookie)


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
