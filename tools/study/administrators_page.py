"""The administrator's page: who has read how far, another sitting for a reader, and the end of the study."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from flask import Flask, Response, abort, redirect, render_template, request, url_for

from tools.study.database import Database
from tools.study.folder import Access, Study
from tools.study.links import reader_link
from tools.study.requests import equal, language_of
from tools.study.texts import languages, load_texts


def add_administrators_page(app: Flask, study: Study, access: Access, answers: Database, address: str) -> None:
    """Add what lies behind the administrator's link; those of the readers on it begin with the address."""
    numbers = {reader.number for reader in access.readers}

    def for_admin(view: Callable) -> Callable:
        @wraps(view)
        def found(token: str, **rest: Any) -> Any:
            if not equal(token, access.admin):
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
        language = language_of(study)
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
        return redirect(url_for("admin", token=access.admin, language=language_of(study)), 303)

    @app.post("/admin/<token>/release/<int:number>")
    @for_admin
    def release(number: int) -> Response:
        if number not in numbers:
            abort(404)
        answers.release(number)
        return redirect(url_for("admin", token=access.admin, language=language_of(study)), 303)


def _time(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
