"""The rules of a sitting: one go, no going back, every answer once, and nobody in another's place."""

import json
import socket
import sqlite3
from types import SimpleNamespace

import pytest

from tools.errors import mendable_message
from tools.study import command
from tools.study.database import Database
from tools.study.folder import load_access, load_key, load_study
from tools.study.report import write_report
from tools.study.server import HEADERS, LOCAL, links, make_app
from tools.study.texts import _all, languages, load_texts


def database(folder):
    return Database(folder / "answers.sqlite", load_study(folder).fingerprint)


def test_a_reader_reads_to_the_end(study, reading):
    reader = reading(study)
    assert b"Start" in reader.open().data
    questions = reader.read_to_the_end(lambda question: question["number"] % 2)
    assert [q["number"] for q in questions] == list(range(1, 11))
    assert [q["section"] for q in questions] == ["origin"] * 4 + ["preference"] * 6
    assert [q["number_in_section"] for q in questions] == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6]
    (sitting,) = database(study).sittings()
    answers = database(study).answers(sitting.id)
    assert sitting.state == "finished"
    assert [a.choice for a in answers] == [a.images.split()[a.number % 2] for a in answers]
    assert [a.difficulty for a in answers] == [4] * 4 + [None] * 6
    assert all(a.client_ms == 1500 and a.server_ms > 0 for a in answers)
    assert b'data-state="finished"' in reader.open().data
    assert reader.start().get_json() == {"error": "finished"}


def test_survey_answers_and_reasons(make_study, reading):
    folder = make_study("survey", language="it")
    reader = reading(folder)
    assert "Inizia" in reader.open().get_data(as_text=True)
    assert "Start" in reader.get(f"/r/{reader.token}?language=en").get_data(as_text=True)
    reader.start()
    for choice in ("real", "synthetic", "cannot tell"):
        assert reader.answer(reader.question(), choice, reason=" coste asimmetriche ").status_code == 200
    answers = database(folder).answers(1)
    assert [a.choice for a in answers] == ["real", "synthetic", "cannot tell"]
    assert answers[0].reason == "coste asimmetriche"


def test_the_same_answer_twice_counts_once_and_another_is_refused(study, reading):
    reader = reading(study)
    reader.start()
    question = reader.question()
    first, again = reader.answer(question, 1), reader.answer(question, 1, ms=9000)
    assert first.get_json() == again.get_json() == {"accepted": 1}
    other = reader.answer(question, 0)
    assert (other.status_code, other.get_json()) == (409, {"error": "conflict"})
    (kept,) = database(study).answers(1)
    assert kept.choice == kept.images.split()[1]
    assert kept.client_ms == 1500


def test_no_going_back_and_no_going_ahead(study, reading):
    reader = reading(study)
    reader.start()
    first = reader.question()
    assert reader.answer(first | {"number": 2}).status_code == 409
    reader.answer(first)
    assert reader.question()["number"] == 2
    assert reader.get(first["images"][0]).status_code == 404


def test_what_the_page_never_sends_is_refused(study, reading):
    reader = reading(study)
    reader.start()
    question = reader.question()
    for content in (
        {"choice": 2},
        {"choice": "real"},
        {"choice": True},
        {"difficulty": 6},
        {"difficulty": None},
        {"ms": -1},
        {"ms": "long"},
        {"ms": float("nan")},
        {"reason": "x" * 2001},
        {"reason": 3},
    ):
        assert reader.answer(question, **({"choice": 0} | content)).status_code == 400
    for number in (0, 11, "1", None, True):
        assert reader.answer(question | {"number": number}).status_code == 400
    url = f"/r/{reader.token}/answer"
    assert reader.client.post(url, data="number=1&choice=0").status_code == 400
    assert reader.client.post(url, data="[]", content_type="application/json").status_code == 400
    assert reader.client.post(url, data=b"{" + b" " * 70_000, content_type="application/json").status_code in (400, 413)
    assert database(study).answers(1) == []


HALF = "\ud83d"  # the first half of a pair, as a field cuts it off


def test_what_is_no_text_is_refused_and_the_sitting_goes_on(make_study, reading):
    folder = make_study("survey")
    reader = reading(folder)
    reader.start()
    question = reader.question()
    for content in (
        {"reason": f"noise {HALF}"},
        {"reason": f"{HALF[::-1]}\udc00\ud800"},
        {"choice": HALF},
        {"page": HALF},
        {HALF: 1},
        {"more": [[{"deep": HALF}]]},
    ):
        response = reader.post("answer", **({"number": 1, "choice": "real", "ms": 1} | content))
        assert (response.status_code, response.get_json()) == (400, {"error": "invalid"})
    deep = b'{"page": ' + b"[" * 30_000
    for url in ("start", "question", "answer", "leave"):
        url = f"/r/{reader.token}/{url}"
        assert reader.client.post(url, data=deep, content_type="application/json").status_code == 400
        assert reader.client.post(url, json={"page": HALF}).status_code == 400
    reader.client.set_cookie("sitting", "caf\u00e9", path=f"/r/{reader.token}")
    assert reader.question() == {"error": "left"}
    reader.client.delete_cookie("sitting", path=f"/r/{reader.token}")
    again = reading(folder, 2)
    again.start()
    assert again.answer(again.question(), reason="noise \U0001f600 \u2028 \0").status_code == 200
    assert database(folder).answers(1) == []
    assert database(folder).answers(2)[0].reason == "noise \U0001f600 \u2028 \0"
    assert question["number"] == 1


def test_names_cannot_write_into_pages(make_study, reading):
    """Titles and names are whatever somebody typed; a page shows them and is not made of them."""
    evil = "</script></title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u2028"
    folder = make_study(title=evil, readers=(evil, "bruno"))
    app, admin = make_app(folder, address=f"https://x/{evil}"), load_access(folder).admin
    reader = reading(folder, app=app)
    pages = [reader.open(), reader.get(f"/admin/{admin}"), reader.get(f"/r/{reader.token}?language={evil}")]
    for page in pages:
        text = page.get_data(as_text=True)
        assert "<script>alert" not in text
        assert "<img" not in text
    assert "&lt;/script&gt;&lt;/title&gt;" in pages[0].get_data(as_text=True)


def test_what_a_script_reads_is_no_markup(study, reading, monkeypatch):
    evil = "</script><!--<script>\u2028\u2029&'"
    texts = load_texts("en") | {"next": evil}
    monkeypatch.setattr("tools.study.server.load_texts", lambda _: texts)
    page = reading(study).open().get_data(as_text=True)
    block = page.split('id="content">')[1].split("</script>")[0]
    assert json.loads(block)["texts"]["next"] == evil
    assert not set("<>\u2028\u2029&'") & set(block)


def test_a_report_shows_names_as_they_are(make_study, reading):
    evil = "<script>alert(1)</script> $\\frac{"
    folder = make_study("survey", title=evil, readers=(evil,))
    reader = reading(folder)
    reader.start()
    while not (question := reader.question())["done"]:
        reader.answer(question, reason=evil)
    write_report([folder], folder / "analysis")
    page = (folder / "analysis" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt; $\\frac{") > 3


def test_a_sitting_that_was_left_is_abandoned_and_cannot_be_resumed(study, reading):
    reader = reading(study)
    reader.start()
    reader.answer(reader.question())
    assert reader.post("leave").status_code == 200
    assert reader.question() == {"error": "abandoned"}
    assert reader.answer({"number": 2, "section": "origin"}).get_json() == {"error": "abandoned"}
    assert b'data-state="abandoned"' in reader.open().data
    again = reading(study)
    assert again.start().get_json() == {"error": "abandoned"}
    (sitting,) = database(study).sittings()
    assert (sitting.state, sitting.reason) == ("abandoned", "left the page")


def test_a_new_start_abandons_the_sitting_that_is_open(study, reading):
    app = make_app(study)
    first, second = reading(study, app=app), reading(study, app=app)
    first.start()
    assert b'data-state="open"' in second.open().data
    assert second.start().get_json() == {"error": "abandoned"}
    # the answer of the first page was refused too: its place was taken
    assert first.question() == {"error": "abandoned"}
    assert database(study).sittings()[0].reason == "started anew"


def test_a_link_that_is_only_looked_at_does_nothing(study, reading):
    """Mail programs open links to preview them."""
    app = make_app(study)
    first = reading(study, app=app)
    first.start()
    reading(study, app=app).open()
    assert first.question()["number"] == 1


def test_a_start_whose_acknowledgement_was_lost_is_the_same_sitting(study, reading):
    reader = reading(study)
    assert reader.start().get_json() == reader.start().get_json() == {"started": True}
    assert reader.question()["number"] == 1
    assert len(database(study).sittings()) == 1


def test_the_administrator_may_allow_another_sitting(study, reading):
    app, admin = make_app(study), load_access(study).admin
    reader = reading(study, app=app)
    reader.start()
    order = reader.question()
    reader.post("leave")
    assert b"Allow another sitting" in reader.get(f"/admin/{admin}").data
    assert reader.client.post(f"/admin/{admin}/release/{10**30}").status_code == 404
    assert reader.client.post(f"/admin/{admin}/release/1").status_code == 303
    fresh = reading(study, app=app)
    assert len(fresh.read_to_the_end()) == 10
    assert fresh.question() == {"done": True}
    states = [(s.state, s.released) for s in database(study).sittings()]
    assert states == [("abandoned", 1), ("finished", 0)]
    assert order["number"] == 1


def test_no_reader_can_read_or_change_another_ones_answers(study, reading):
    app = make_app(study)
    anna, bruno = reading(study, 1, app), reading(study, 2, app)
    anna.start()
    bruno.start()
    question = anna.question()
    # bruno's browser, anna's link, with his page's key, with a made-up one, and with hers
    for page in (bruno.page, "0" * 64, "", None, anna.page):
        for what in ("question", "answer", "leave"):
            content = {"page": page, "number": 1, "choice": 0, "difficulty": 1}
            response = bruno.client.post(f"/r/{anna.token}/{what}", json=content)
            assert (response.status_code, response.get_json()) == (403, {"error": "left"})
    assert bruno.get(question["images"][0]).status_code == 404
    assert bruno.get(question["images"][0].replace(anna.token, bruno.token)).status_code == 404
    assert anna.answer(question).status_code == 200
    assert len(database(study).answers(1)) == 1
    assert database(study).answers(2) == []


def test_other_sites_cannot_send(study, reading):
    reader = reading(study)
    reader.start()
    url, headers = f"/r/{reader.token}/leave", {"Sec-Fetch-Site": "cross-site"}
    assert reader.client.post(url, json={"page": reader.page}, headers=headers).status_code == 403
    assert reader.question()["number"] == 1


def test_unknown_addresses_are_all_alike(study):
    client = make_app(study).test_client()
    access = load_access(study)
    urls = ["/", "/r/", "/r/x", f"/r/{access.admin}", "/admin/x", f"/admin/{access.readers[0].token}", "/images/x"]
    urls += ["/study.json", "/key/key.json", "/static/../readers.json", "/static/%2e%2e/%2e%2e/folder.py"]
    bodies = {(r.status_code, r.data) for r in map(client.get, urls)}
    assert bodies == {(404, b"404 Not Found\n")}


def test_a_closed_study_accepts_nothing(study, reading):
    app, admin = make_app(study), load_access(study).admin
    reader, done = reading(study, 1, app), reading(study, 2, app)
    done.read_to_the_end()
    reader.start()
    question = reader.question()
    reader.answer(question)
    assert reader.client.post(f"/admin/{admin}/close").status_code == 400
    assert reader.client.post(f"/admin/{admin}/close", data={"sure": "yes"}).status_code == 303
    assert reader.answer({"number": 2, "section": "origin"}).get_json() == {"error": "closed"}
    assert reader.answer(question).get_json() == {"accepted": 1}  # it was, before
    assert reader.question() == {"error": "closed"}
    assert reading(study, 3, app).start().get_json() == {"error": "closed"}
    assert b'data-state="closed"' in reading(study, 3, app).open().data
    assert b'data-state="finished"' in done.open().data
    page = reader.get(f"/admin/{admin}").get_data(as_text=True)
    assert "Closed on" in page
    assert "10 of 10" in page
    assert [s.state for s in database(study).sittings()] == ["finished", "abandoned"]


def test_the_administrators_page_speaks_the_readers_languages(make_study, reading):
    folder = make_study(language="it")
    app, admin = make_app(folder), load_access(folder).admin
    reader = reading(folder, app=app)
    reader.start()
    reader.post("leave")
    page = reader.get(f"/admin/{admin}").get_data(as_text=True)
    for text in ("Domande: 10", "interrotta", "pagina lasciata", "Consenti", "Chiudi lo studio"):
        assert text in page
    assert "Close the study" in reader.get(f"/admin/{admin}?language=en").get_data(as_text=True)
    closed = reader.client.post(f"/admin/{admin}/close?language=en", data={"sure": "yes"}, follow_redirects=True)
    assert "Closed on" in closed.get_data(as_text=True)


def test_headers_keep_links_and_images_in_the_hospital(study, reading):
    reader = reading(study)
    reader.read_to_the_end()
    reader.get(f"/admin/{load_access(study).admin}")
    for name in ("study.js", "viewer.js", "study.css", "admin.css"):
        assert "http" not in reader.get(f"/static/{name}").get_data(as_text=True)
    for response in reader.responses:
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        if response.mimetype == "text/html":
            text = response.get_data(as_text=True).replace("http-equiv", "").replace(LOCAL, "")
            assert "http" not in text


def test_behind_a_proxy_with_tls(study):
    app = make_app(study, proxies=1, address="https://study.example.org/ct/")
    access = load_access(study)
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "study.example.org", "X-Forwarded-Prefix": "/ct"}
    client, token = app.test_client(), access.readers[0].token
    response = client.post(f"/r/{token}/start", json={"page": "0" * 64}, headers=forwarded)
    cookie = response.headers["Set-Cookie"]
    assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=Strict", f"Path=/ct/r/{token}"))
    page = client.get(f"/admin/{access.admin}", headers=forwarded).get_data(as_text=True)
    assert f"https://study.example.org/ct/r/{token}" in page
    plain = make_app(study, study.parent / "other.sqlite").test_client()
    cookie = plain.post(f"/r/{token}/start", json={"page": "0" * 64}, headers=forwarded).headers["Set-Cookie"]
    assert "Secure" not in cookie  # without --proxies nobody's word is taken for it


def test_links_are_printed_for_everybody(study):
    access = load_access(study)
    shown = dict(links(access, "https://study.example.org/"))
    assert shown["anna"] == f"https://study.example.org/r/{access.readers[0].token}"
    assert list(shown) == ["administrator", "anna", "bruno", "carla"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"host": "0.0.0.0", "port": 90}, "http://reading-room:90"),
        ({"host": "::1", "port": 90}, "http://[::1]:90"),
        ({"address": "https://study.example.org"}, "https://study.example.org"),
    ],
)
def test_printed_links_can_be_opened(study, options, expected, monkeypatch, capsys):
    """0.0.0.0 means all of the computer's addresses and is none that a browser could open."""
    monkeypatch.setattr(command, "listening", lambda *_: SimpleNamespace(run=lambda: None))
    monkeypatch.setattr(command.socket, "gethostname", lambda: "reading-room")
    command.StudyCommands().serve(str(study), **options)
    assert f"anna: {expected}/r/{load_access(study).readers[0].token}\n" in capsys.readouterr().out


def test_a_busy_port_is_refused_before_links_are_printed(study, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = rf"^the study cannot be served at port {port} of 127.0.0.1: another program listens there.* --port"
        with pytest.raises(ValueError, match=said) as refused:
            command.StudyCommands().serve(str(study), port=port)
    assert mendable_message(refused.value).startswith("ValueError: the study cannot be served")
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match=r"192\.0\.2\.1: it is no address of this computer.* --host"):
        command.StudyCommands().serve(str(study), host="192.0.2.1", port=port)


@pytest.mark.parametrize("proxies", [0, 1])
def test_links_begin_with_the_address_given_whatever_a_request_says(study, proxies):
    access = load_access(study)
    client = make_app(study, proxies=proxies, address="https://study.example.org").test_client()
    foreign = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    page = client.get(f"/admin/{access.admin}", headers=foreign)
    assert f'value="https://study.example.org/r/{access.readers[0].token}"' in page.get_data(as_text=True)
    answers = [page, client.get(f"/r/{access.readers[0].token}", headers=foreign)]
    answers.append(client.post(f"/admin/{access.admin}/close", headers=foreign, data={"sure": "yes"}))
    answers += [
        client.get(url, headers=foreign) for url in (f"/r//{access.readers[0].token}", "/static//study.js", "/x/")
    ]
    for answer in answers:
        assert "evil" not in answer.get_data(as_text=True) + str(answer.headers)


def test_serving_needs_no_key(study, reading):
    (study / "key" / "key.json").unlink()
    assert len(reading(study).read_to_the_end()) == 10
    with pytest.raises(FileNotFoundError):
        load_key(study)


def test_answers_of_another_study_are_not_mixed(study, make_study):
    make_app(study)
    with pytest.raises(ValueError, match="answers of another study"):
        make_app(make_study(seed=9), study / "answers.sqlite")


def test_database_is_safe_by_its_settings(study):
    kept = database(study)
    connection = kept._connection()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    kept.start(1, "c", "p")
    row = (1, 1, "q", "", "", None, "", None, None, 0)
    connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (1, 2, *row[2:]))


def test_a_commit_that_fails_is_no_answer_and_no_harm(study, monkeypatch):
    """A full disk: nothing is acknowledged, and the same thread works once there is room."""
    kept, fail = database(study), [True]
    connection = kept._connection()

    class FullDisk:
        def __getattr__(self, name):
            return getattr(connection, name)

        def execute(self, sql, *values):
            if sql == "COMMIT" and fail:
                raise sqlite3.OperationalError("database or disk is full")
            return connection.execute(sql, *values)

    monkeypatch.setattr(kept, "_connection", FullDisk)
    with pytest.raises(sqlite3.OperationalError):
        kept.start(1, "c", "p")
    fail.clear()
    assert kept.sittings() == []
    assert kept.start(1, "c", "p").state == "open"


def test_every_language_has_every_text():
    texts = _all()
    assert set(languages()) >= {"en", "it"}
    for code, of in texts.items():
        assert of.keys() == texts["en"].keys(), code
        for name, text in of.items():
            assert text.strip()
            assert text.count("{") == texts["en"][name].count("{"), (code, name)
