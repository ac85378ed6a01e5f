"""Ranks of models from reports as the commands write them."""

import csv
import json
import shutil

import pytest
from scipy import stats

from tests.tiny import REPOSITORY
from tools.__main__ import main
from tools.rank.command import collected, ranked
from tools.rank.reports import Number, read_report

KNOWN = REPOSITORY / "tests" / "evaluation" / "known_report.json"


def usefulness(values, model="gan"):
    arms = [{"way": "TRTR", "model": "", "patients": 5, "dice": {"value": 0.9, "low": 0.8, "high": 0.95}}]
    for way, patients, value in zip(("TSTR", "real + synthetic", "TRTS"), (0, 5, 5), values, strict=True):
        score = {"value": value, "low": value - 0.02, "high": value + 0.02, "seeds": 3}
        arms.append({"way": way, "model": model, "patients": patients, "dice": score})
    return {"settings": {"test": "data/test"}, "arms": arms}


def privacy(suspects):
    spaces = {"pattern": {"distances": {}, "close": {"value": 0.1, "low": 0.05, "high": 0.2}}}
    found = {"settings": {"folder of training": "t"}, "images": {"training": 20, "synthetic": 10}}
    attack = {"attack": "distance", "in": "moments", "auc": {"value": 0.6, "low": 0.5, "high": 0.7}}
    return found | {"suspects": [{}] * suspects, "spaces": spaces, "membership": [attack]}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def rank(*reports, output_dir, **options):
    more = [f"--{key}={value}" for key, value in options.items()]
    main(["rank", f"--reports={','.join(map(str, reports))}", f"--output_dir={output_dir}", *more])
    with open(output_dir / "rank.csv", newline="") as file:
        return {(row["metric"], row["model"]): row for row in csv.DictReader(file)}


def test_a_report_of_an_evaluation_is_ranked_by_direction(tmp_path, capsys):
    found = rank(KNOWN, output_dir=tmp_path)
    record = json.loads(KNOWN.read_text())
    for space, of in record["spaces"].items():
        for metric in ("fid", "mmd", "kid", "precision", "recall"):
            values = {model: scores[metric]["value"] for model, scores in of["models"].items()}
            signs = 1 if metric in ("fid", "mmd", "kid") else -1
            ranks = stats.rankdata([signs * value for value in values.values()])
            for model, place in zip(values, ranks, strict=True):
                row = found[f"{metric} [{space}]", model]
                assert float(row["rank"]) == place
                assert float(row["value"]) == pytest.approx(values[model], rel=1e-5)
    assert not any("extrapolated" in metric for metric, _ in found)
    fid = found["fid [moments]", "near"]
    assert (float(fid["low"]), fid["trainings"]) == (pytest.approx(-0.00143148, rel=1e-4), "1")
    assert float(fid["leads"]) > 0.99
    assert found["precision [moments]", "near"]["leads"] == ""
    text = (tmp_path / "rank.md").read_text()
    assert text.splitlines()[0].split("|")[3].strip() == "near"
    assert [line for line in text.splitlines() if line][-1].startswith("| mean rank")
    assert "| mean rank" in capsys.readouterr().out


def test_reports_of_one_model_are_trainings(tmp_path):
    seeds = {"a": (0.7, 0.72, 0.71), "b": (0.6, 0.66, 0.72)}
    reports = [
        f"{name}={write(tmp_path / f'{name}{seed}' / 'report.json', usefulness((value, value, 0.9)))}"
        for name, values in seeds.items()
        for seed, value in enumerate(values)
    ]
    found = rank(*reports, output_dir=tmp_path / "out", metrics="TSTR")
    row = found["TSTR: Dice", "b"]
    low, high = stats.ttest_1samp(seeds["b"], 0).confidence_interval(0.95)
    assert [float(row[key]) for key in ("value", "low", "high")] == pytest.approx([0.66, low, high], rel=1e-4)
    assert (row["trainings"], float(row["rank"])) == ("3", 2.0)
    assert 0.05 < float(row["leads"]) < 0.4
    assert set(found) == {(metric, model) for metric in ("TSTR: Dice", "mean rank") for model in "ab"}


def test_trainings_of_a_single_model_are_said_to_be_no_ranking(tmp_path):
    reports = [write(tmp_path / name / "report.json", usefulness([0.5, 0.6, 0.7])) for name in "ab"]
    _, (doubt,) = collected([*map(str, reports)])
    assert "All reports are of one model, gan, and were taken for several trainings of it" in doubt
    assert collected([f"{path.parent.name}={path}" for path in reports])[1] == []
    assert collected([str(reports[0])])[1] == []


def test_tests_on_synthetic_images_are_not_counted(tmp_path):
    read = read_report(write(tmp_path / "report.json", usefulness((0.7, 0.8, 0.9))))
    assert [number.metric for number in read.numbers] == ["TSTR: Dice", "real + synthetic, 5 patients: Dice"]


def test_reports_of_several_kinds_are_one_table(tmp_path):
    shutil.copy(KNOWN, tmp_path / "report.json")
    reports = [
        tmp_path,
        f"near={write(tmp_path / 'p1' / 'privacy.json', privacy(5))}",
        f"far={write(tmp_path / 'p2', privacy(0))}",
        write(tmp_path / "u" / "report.json", usefulness((0.8, 0.8, 0.8), "near")),
    ]
    found = rank(*reports, output_dir=tmp_path / "out")
    assert float(found["suspects of copying, share", "near"]["value"]) == 0.5
    assert float(found["suspects of copying, share", "far"]["rank"]) == 1
    assert found["close [pattern]", "near"]["better"] == "near 0.05"
    assert found["membership by distance [moments]: AUC", "near"]["better"] == "near 0.5"
    assert ("TSTR: Dice", "far") not in found
    assert "TSTR: Dice (not of all models, not counted)" in (tmp_path / "out" / "rank.md").read_text()


def translation(bundle, error, kl, correlation):
    """What a CycleGAN's evaluation writes of phantoms whose CT is known."""
    truth = {"translation": {"mae_body": error, "me_body": 1.0}, "best_constants": {"mae_body": 0.0}}
    layers = {"kl_256": {"average": kl}, "correlation": {"average": correlation}}
    return {"settings": {"bundle": bundle}, "spaces": {}, "layers": {bundle: layers}, "truth": truth}


def test_metrics_are_compared_with_the_truth(tmp_path, capsys):
    numbers = {"a": (50.0, 0.1, 0.7), "b": (60.0, 0.2, 0.8), "c": (70.0, 0.3, 0.9)}
    reports = [write(tmp_path / name / "report.json", translation(name, *of)) for name, of in numbers.items()]
    found = rank(*reports, output_dir=tmp_path / "out", metrics="kl,correlation", against="mae")
    assert {model for _, model in found} == set(numbers)
    assert [found[metric, "a"]["tau"] for metric in ("kl_256", "correlation")] == ["1", "-1"]
    assert found["mae_body against the truth", "b"]["tau"] == "1"
    assert found["mean rank", "a"]["tau"] == ""
    shown = capsys.readouterr().out.splitlines()
    assert "order as of mae_body against the truth" in shown[0]
    assert "tau 1.00 (p 0.33, 3 models)" in shown[2]


@pytest.mark.parametrize(
    ("given", "message"), [("fid", "which is the beginning of several of fid"), ("dice", "which is none of fid")]
)
def test_the_metric_to_compare_with_is_one(given, message, tmp_path):
    with pytest.raises(SystemExit, match=f"against is '{given}', {message}"):
        rank(KNOWN, output_dir=tmp_path, against=given)


def test_other_real_images_are_named(tmp_path):
    other = usefulness((0.8, 0.8, 0.8), "b") | {"settings": {"test": "elsewhere"}}
    reports = [write(tmp_path / "a.json", usefulness((0.7, 0.7, 0.7), "a")), write(tmp_path / "b.json", other)]
    _, (doubt,) = collected([*map(str, reports)])
    assert doubt.startswith("Not all reports of usefulness are of the same real images: data/test; elsewhere")


def test_a_lead_beyond_the_intervals_is_sure_and_one_within_is_not():
    far = [Number("a", "m", "lower", 1.0, 0.9, 1.1), Number("b", "m", "lower", 2.0, 1.9, 2.1)]
    near = [Number("a", "m", "lower", 1.0, 0.5, 1.5), Number("b", "m", "lower", 1.1, 0.6, 1.6)]
    assert ranked(far).overall["a"].leads > 0.999
    assert 0.5 < ranked(near).overall["a"].leads < 0.75


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("x={known}", "is a report of near, far; give it without a name"),
        ("{privacy}", "does not say of which model it is"),
        ("/nowhere/report.json", "there is no report at"),
        ("{odd}", "is no report of evaluate, usefulness or privacy"),
        ("{text}", "it is not JSON"),
    ],
)
def test_what_is_no_report_is_refused(given, message, tmp_path):
    (tmp_path / "text").write_text("hello")
    paths = {"privacy": write(tmp_path / "p.json", privacy(1)), "odd": write(tmp_path / "o.json", {}), "known": KNOWN}
    with pytest.raises(SystemExit, match=message):
        rank(given.format(text=tmp_path / "text", **paths), output_dir=tmp_path)


def test_metrics_that_no_report_has_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="metrics has dice, and the reports have fid"):
        rank(KNOWN, output_dir=tmp_path, metrics="fid,dice")
