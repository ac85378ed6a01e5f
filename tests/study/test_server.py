"""The rules of a sitting: one go, no going back, every answer once, and nobody in another's place."""

from tests.study.answers import database
from tools.study.server import make_app


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
