"""What is no text, what is markup and what comes from elsewhere does no harm."""

import json

from tests.study.answers import database
from tools.study.folder import load_access
from tools.study.report import write_report
from tools.study.server import make_app
from tools.study.texts import load_texts

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
    monkeypatch.setattr("tools.study.readers_pages.load_texts", lambda _: texts)
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
