"""The administrator's page: another sitting, the study's end, and its languages."""

from tests.study.answers import database
from tools.study.folder import load_access
from tools.study.server import make_app
from tools.study.texts import _all, languages


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


def test_every_language_has_every_text():
    texts = _all()
    assert set(languages()) >= {"en", "it"}
    for code, of in texts.items():
        assert of.keys() == texts["en"].keys(), code
        for name, text in of.items():
            assert text.strip()
            assert text.count("{") == texts["en"][name].count("{"), (code, name)
