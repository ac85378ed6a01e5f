"""The report of simulated studies against numbers computed directly, and the papers' numbers through the whole path."""

import csv
import json
import re
import secrets

import numpy as np
import pytest

from tools.study.command import StudyCommands
from tools.study.database import Answer, Database
from tools.study.folder import load_access, load_key, load_study
from tools.study.learning import trend
from tools.study.order import reading_order
from tools.study.report import write_report
from tools.study.scoring import score
from tools.study.statistics import (
    clustered_test,
    fleiss_kappa,
    homogeneity_test,
    origin_test,
    preference_estimate,
    preference_test,
    proportion,
    survey_test,
)

# 30 pairs of 12 votes with all that the CRF-GAN paper prints of them (Table 2), see test_statistics.py
FIRST = [12, 11, 11, 10, 10, 10, 10, 9, 9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 3, 3, 2]
ANSWERS = ("real", "synthetic", "cannot tell")


def fill(folder, readers, answer, stop_at=None):
    """Readers answer a study: answer(reader, asked, origins of the images) -> (choice, difficulty)."""
    study, access, key = load_study(folder), load_access(folder), load_key(folder)["images"]
    database = Database(folder / "answers.sqlite", study.fingerprint)
    database._connection().execute("PRAGMA synchronous = OFF")  # a simulation may be lost
    for reader in access.readers[:readers]:
        sitting = database.start(reader.number, "", secrets.token_hex(4))
        for asked in reading_order(study, access, reader, sitting.id):
            if (reader.number, asked.number) == stop_at:
                database.leave(sitting.id)
                break
            origins = [key[name]["origin"] for name in asked.images]
            choice, difficulty = answer(reader.number, asked, origins)
            name = asked.images[origins.index(choice)] if choice in origins and len(origins) == 2 else choice
            milliseconds = 1000 * (10 + asked.number)
            kept = Answer(asked.number, asked.question.id, " ".join(asked.images), name, difficulty, "", milliseconds)
            database.answer(sitting.id, kept, len(study.questions))
    return study


@pytest.mark.parametrize("kind", ["2afc", "survey"])
def test_one_reader_is_analysed_and_what_takes_several_is_named(kind, make_study, tmp_path):
    folder = make_study(kind, readers=("anna",))

    def answer(reader, asked, origins):
        if kind == "survey":
            return ANSWERS[asked.number % 3], None
        return origins[asked.number % 2], 3 if asked.question.section == "origin" else None

    fill(folder, 1, answer)
    sections = write_report([folder], tmp_path)["studies"][0]["sections"]
    page = (tmp_path / "report.html").read_text()
    assert "One reader: the numbers say how this reader answers" in page
    assert "1 sitting counts" in page
    assert "have shape" not in page
    assert "1 to 1 readers" not in page
    alone = "it takes 2 readers and 2 questions or more, and there are 1 and "
    for section in sections.values():
        assert section["kappa"] == {"missing": "one reader has nobody to agree with"}
        assert "slope" in section["learning"]
        assert section["times"]["median"] > 0
    if kind == "survey":
        everything = sections["survey"]["right"]["cannot tell counts as wrong"]["all"]
    else:
        everything = sections["origin"]["accuracy"]
        assert "each pair has one vote" in sections["preference"]["homogeneity"]["missing"]
        assert sections["preference"]["estimate"]["missing"].startswith(alone)
        assert sections["preference"]["clustered"]["missing"].startswith(alone)
        assert 0 < sections["preference"]["binomial"]["p"] <= 1
    assert everything["clustered"]["missing"].startswith(alone)
    assert everything["low"] == pytest.approx(proportion(everything["count"], everything["total"]).low)


def test_the_crf_gan_paper_through_the_whole_path(make_study, tmp_path):
    """12 readers, 10 and 30 pairs: all real images found, 215 to 145 votes, Table 2."""
    names = tuple(f"reader {i}" for i in range(1, 13))
    folder = make_study(real_pairs=10, model_pairs=30, readers=names)
    pairs = sorted(q.id for q in load_study(folder).questions if q.section == "preference")

    def answer(reader, asked, origins):
        if asked.question.section == "origin":
            return "real", 5 if asked.number % 2 else 4
        place = pairs.index(asked.question.id)
        return ("crf_gan" if (reader + place) % 12 < FIRST[place] else "ha_gan"), None

    fill(folder, 12, answer)
    report = write_report([folder], tmp_path)
    sections = report["studies"][0]["sections"]
    assert sections["origin"]["accuracy"]["value"] == 1
    assert sections["origin"]["accuracy"]["count"] == 120
    assert sections["origin"]["accuracy"]["low"] == pytest.approx(proportion(120, 120).low)
    assert sections["origin"]["difficulty"] == [0, 0, 0, 60, 60]
    found = sections["preference"]
    assert {m: row["total"] for m, row in found["votes_table"].items()} == {"crf_gan": 215, "ha_gan": 145}
    assert found["votes_table"]["crf_gan"]["mean"] == pytest.approx(7.1667, abs=1e-4)
    assert found["votes_table"]["ha_gan"]["mean"] == pytest.approx(4.8333, abs=1e-4)
    assert {int(row["sd"] * 100) for row in found["votes_table"].values()} == {266}
    assert found["homogeneity"]["statistic"] == pytest.approx(71.42, abs=5e-3)
    assert found["homogeneity"]["degrees_of_freedom"] == 29
    assert found["homogeneity"]["p"] == pytest.approx(1.93e-5, abs=5e-8)
    assert found["binomial"]["p"] == pytest.approx(2.65e-4, abs=5e-7)
    assert found["estimate"]["value"] == pytest.approx(215 / 360)
    assert found["estimate"]["low"] < 215 / 360 < found["estimate"]["high"]
    assert found["clustered"]["p"] > 10 * found["binomial"]["p"]  # votes share pairs
    page = (tmp_path / "report.html").read_text()
    for text in (
        "71.42",
        "29 degrees of freedom",
        "p = 1.93e-05",
        "p = 0.000265",
        "215",
        "145",
        "7.17",
        "4.83",
        "2.67",
    ):
        assert text in page
    assert "does not say that a model is preferred" in page


def simulated(rng):
    def answer(reader, asked, origins):
        if asked.question.section == "origin":
            right = rng.random() < 0.55 + 0.04 * asked.number
            wrong = next(o for o in origins if o != "real")
            return ("real" if right else wrong), int(rng.integers(1, 6))
        return ("crf_gan" if rng.random() < 0.6 else "ha_gan"), None

    return answer


def test_numbers_of_a_simulated_study_are_those_computed_directly(make_study, tmp_path):
    folder = make_study(real_pairs=6, model_pairs=8, readers=tuple("abcdef"))
    fill(folder, 5, simulated(np.random.default_rng(3)), stop_at=(2, 5))
    report = write_report([folder], tmp_path)
    found = report["studies"][0]
    assert found["readers"] == list("acde")
    left = found["sittings"][1]
    assert (left["reader"], left["state"], left["answered"], left["counted"]) == ("b", "abandoned", 4, False)

    with (tmp_path / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 14
    assert {row["reader"] for row in rows} == set("acde")
    origin = [row for row in rows if row["section"] == "origin"]
    right = [row["choice"] == "real" for row in origin]
    assert [int(row["correct"]) for row in origin] == right
    section = found["sections"]["origin"]
    assert section["accuracy"]["value"] == np.mean(right)
    assert (section["accuracy"]["low"], section["accuracy"]["high"]) == proportion(sum(right), len(right))[1:]
    sensitivity = [r for r, row in zip(right, origin, strict=True) if row["left"] == "real"]
    assert section["sensitivity"]["value"] == np.mean(sensitivity)
    assert section["sensitivity"]["total"] + section["specificity"]["total"] == len(origin)
    assert section["difficulty"] == [sum(row["difficulty"] == str(n) for row in origin) for n in range(1, 6)]
    assert (
        section["learning"]
        == trend([row["reader"] for row in origin], [int(row["number"]) for row in origin], right)._asdict()
    )
    assert section["times"]["median"] == np.median([float(row["client_ms"]) / 1000 for row in origin])
    assert section["times"]["learning"]["slope"] > 0

    votes = [row for row in rows if row["section"] == "preference"]
    questions, readers = sorted({v["question"] for v in votes}), list("acde")
    chosen = {(v["reader"], v["question"]): float(v["choice"] == "crf_gan") for v in votes}
    choices = np.array([[chosen[reader, question] for question in questions] for reader in readers])
    table = np.stack([choices.sum(0), len(readers) - choices.sum(0)], 1)
    section = found["sections"]["preference"]
    assert list(section["votes"].values()) == table.tolist()
    assert section["binomial"] == preference_test(int(choices.sum()), choices.size)._asdict()
    assert section["homogeneity"] == homogeneity_test(table)._asdict()
    assert section["estimate"] == preference_estimate(choices)._asdict()
    assert section["clustered"] == clustered_test(choices)._asdict()
    assert section["kappa"]["value"] == fleiss_kappa(table)
    assert section["left"]["count"] == sum(v["choice"] == v["left"] for v in votes)


def survey_of(make_study, right, title, readers=6):
    """A survey whose readers are right with these probabilities (real, synthetic); one in six cannot tell."""
    folder = make_study("survey", scans=20, title=title, readers=tuple(f"r{i}" for i in range(readers)))
    rng = np.random.default_rng(len(title))

    def answer(reader, asked, origins):
        if rng.random() < 1 / 6:
            return "cannot tell", None
        correct = rng.random() < right[origins[0] != "real"]
        return ("real" if correct == (origins[0] == "real") else "synthetic"), None

    fill(folder, readers, answer)
    return folder


def test_surveys_and_their_comparison(make_study, tmp_path):
    folders = [survey_of(make_study, right, title) for right, title in (((0.7, 0.5), "one"), ((0.9, 0.8), "second"))]
    report = write_report(folders, tmp_path)
    tables = []
    for found, folder in zip(report["studies"], folders, strict=True):
        answers = score(folder).answers
        table = [
            [sum((a.left == "real") == real and a.choice == answer for a in answers) for answer in ANSWERS]
            for real in (True, False)
        ]
        tables.append(np.array(table))
        section = found["sections"]["survey"]
        assert section["counts"] == {"real": table[0], "synthetic": table[1]}
        assert section["binomial"] == origin_test([row[:2] for row in table])._asdict()
        assert section["multinomial"] == origin_test(table)._asdict()
        wrong, left_out = section["right"].values()
        assert wrong["real"]["value"] == table[0][0] / sum(table[0])
        assert left_out["real"]["value"] == table[0][0] / sum(table[0][:2])
        assert left_out["synthetic"]["value"] == table[1][1] / sum(table[1][:2])
        assert wrong["all"]["value"] == (table[0][0] + table[1][1]) / 120
        assert section["specificity"]["cannot tell is left out"] == left_out["real"]
        assert section["sensitivity"]["cannot tell is left out"] == left_out["synthetic"]
        given = [(a.question, a.choice) for a in answers]
        by_scan = [[given.count((scan, kind)) for kind in ANSWERS] for scan in {a.question for a in answers}]
        assert section["kappa"]["value"] == pytest.approx(fleiss_kappa(by_scan))
    both = report["between_surveys"]
    assert both[0]["multinomial"] == origin_test(tables[0] + tables[1])._asdict()
    assert both[1]["comparison"] == "survey 1 (one) vs survey 2 (second)"
    assert both[1]["binomial"] == survey_test(tables[0].sum(0)[:2], tables[1].sum(0)[:2])._asdict()
    page = (tmp_path / "report.html").read_text()
    assert page.count("cannot tell is left out") >= 4
    assert page.count("cannot tell counts as wrong") >= 2


def test_survey_two_of_the_paper_through_the_whole_path(make_study, tmp_path):
    """Crespi et al.: 8 doctors, 20 scans; 44 of 66 real called real, 38 of 71 synthetic called synthetic: p = 0.027."""
    folder = make_study("survey", scans=20, readers=tuple("abcdefgh"))
    given = {True: ["real"] * 44 + ["synthetic"] * 22 + ["cannot tell"] * 14}
    given[False] = ["synthetic"] * 38 + ["real"] * 33 + ["cannot tell"] * 9
    fill(folder, 8, lambda reader, asked, origins: (given[origins[0] == "real"].pop(), None))
    section = write_report([folder], tmp_path)["studies"][0]["sections"]["survey"]
    row = section["right"]["cannot tell is left out"]
    assert [round(100 * row[k]["value"], 1) for k in ("all", "real", "synthetic")] == [59.9, 66.7, 53.5]
    assert section["binomial"]["p"] == pytest.approx(0.027, abs=5e-4)
    page = (tmp_path / "report.html").read_text()
    assert "66.7% (44 of 66" in page
    assert "Chi-squared 4.87 with 1 degree of freedom, p = 0.0273" in page


def test_page_needs_no_other_file(make_study, tmp_path):
    folder = make_study(readers=("a", "<b>"))
    fill(folder, 2, simulated(np.random.default_rng(0)))
    write_report([folder], tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page.replace('xlink:href="#', 'x="'))
    assert "<script" not in page
    assert "&lt;b&gt;" in page
    assert page.count("<svg") >= 6
    assert "The study is still open" in page
    json.loads((tmp_path / "report.json").read_text())


def test_a_study_that_nobody_finished(make_study, tmp_path):
    folder = make_study()
    with pytest.raises(FileNotFoundError, match="has not been served yet"):
        write_report([folder], tmp_path)
    fill(folder, 1, simulated(np.random.default_rng(0)), stop_at=(1, 3))
    report = write_report([folder], tmp_path)
    assert report["studies"][0]["sections"] == {}
    assert "No reader has finished" in (tmp_path / "report.html").read_text()


def test_one_reader_is_not_enough_for_some_numbers_but_for_the_report(make_study, tmp_path):
    folder = make_study()
    fill(folder, 1, simulated(np.random.default_rng(0)))
    section = write_report([folder], tmp_path)["studies"][0]["sections"]["preference"]
    assert "it takes 2 readers" in section["estimate"]["missing"]
    assert "missing" in section["kappa"]
    assert section["binomial"]["p"] <= 1


def test_a_readers_words_are_no_formula(make_study, tmp_path, reading):
    folder = make_study("survey", scans=2)
    reader = reading(folder)
    reader.start()
    for reason in ("=1+1", "<i>ribs</i>"):
        reader.answer(reader.question(), 0, reason=reason)
    write_report([folder], tmp_path)
    assert ",'=1+1," in (tmp_path / "answers.csv").read_text()
    assert "&lt;i&gt;ribs" in (tmp_path / "report.html").read_text()


def test_trend_is_the_slope_and_its_p_is_that_of_chance():
    rng = np.random.default_rng(0)
    order = np.tile(np.arange(20), 5)
    readers = np.repeat(list("abcde"), 20)
    level = np.repeat(rng.normal(0, 10, 5), 20)
    assert trend(readers, order, level + 0.5 * order).slope == pytest.approx(0.5)
    assert trend(readers, order, level + 0.5 * order).p == pytest.approx(1 / 5000)
    assert trend(readers, order, np.ones(100)) == (0, 1)
    chance = [trend(readers, order, level + rng.normal(size=100), 199, seed).p for seed in range(200)]
    assert 0.01 <= np.mean(np.array(chance) <= 0.05) <= 0.1
    with pytest.raises(ValueError, match="no order"):
        trend(["a", "b"], [1, 1], [0, 1])


def test_commands_build_and_analyse(sets, tmp_path, capsys):
    commands, folder = StudyCommands(), tmp_path / "study"
    models = f"crf_gan={sets / 'crf_gan'},ha_gan={sets / 'ha_gan'}"
    commands.build(str(folder), "2afc", str(sets / "real"), models=models, real_pairs=2, model_pairs=2, readers="a,b")
    assert "study serve" in capsys.readouterr().out
    fill(folder, 2, simulated(np.random.default_rng(0)))
    commands.analyse(str(folder))
    assert (folder / "analysis" / "report.html").is_file()
    for arguments, message in (
        ({"kind": "3afc"}, "--kind is '3afc', expected one of 2afc, survey"),
        ({"kind": "2afc"}, "needs --models"),
        ({"kind": "survey"}, "needs --synthetic"),
        ({"kind": "2afc", "models": "x"}, "expected a=DIR,b=DIR"),
        ({"kind": "2afc", "models": models, "readers": 0}, "--readers is 0"),
        ({"kind": "2afc", "models": models, "readers": "a,a"}, "names that differ"),
    ):
        with pytest.raises(ValueError, match=message):
            commands.build(str(tmp_path / "x"), real=str(sets / "real"), **arguments)
