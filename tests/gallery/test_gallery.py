"""The page of the collection: all bundles, their pictures and commands, no other file, and a search that finds."""

import json
import re

import pytest
from PIL import Image

from tools import collection
from tools.__main__ import main


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    main(["gallery", f"--output_dir={folder}"])
    return (folder / "gallery.html").read_text(encoding="utf-8")


def test_every_bundle_is_on_it_with_a_command_that_names_its_config(page):
    for bundle in collection.bundles():
        (article,) = re.findall(rf'<article id="{bundle.name}".*?</article>', page, re.DOTALL)
        assert bundle.metadata["description"].split(".")[0] in article.replace("&#39;", "'").replace("&#34;", '"')
        has_training = (bundle.folder / "configs/train.json").is_file()
        assert (f"bundles/{bundle.name}/configs/train.json" in article) == has_training
        for config in ("inference", "mixing", "interpolation", "reconstruct", "inpaint"):
            has_it = (bundle.folder / f"configs/{config}.json").is_file()
            assert (f"bundles/{bundle.name}/configs/{config}.json" in article) == has_it
        assert (f"fetch_weights {bundle.name} " in article) != has_training
        shown = [*(bundle.folder / "docs").glob("*.png"), *(bundle.folder / "docs").glob("*.jpg")]
        assert article.count("<img") == len(shown)
        assert all(alt for alt in re.findall(r'<img[^>]* alt="([^"]*)"', article))


def test_it_needs_no_other_file_and_no_network(page):
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    texts = r'<p>.*?</p>|<li>.*?</li>|data-words="[^"]*"'
    assert "http" not in re.sub(texts + r"|base64,[^\"]*", "", page, flags=re.DOTALL)  # pictures may spell anything


def test_its_words_are_those_by_which_the_collection_is_searched(page):
    words = dict(re.findall(r'<article id="(\w+)" data-kind="\w+" data-words="([^"]*)"', page))

    def found(*wanted):
        return {name for name, all_ in words.items() if all(any(w.startswith(x) for w in all_.split()) for x in wanted)}

    assert found("chest", "ct") == {bundle.name for bundle in collection.find("chest ct")}
    assert "rflow_hippocampus" in found("hippocampus", "labels")


def test_numbers_of_an_evaluation_are_shown(tmp_path):
    configs = tmp_path / "bundles/mine/configs"
    configs.mkdir(parents=True)
    metadata = {"name": "Mine <1>", "description": "d", "data_source": "s", "kind": "generate"}
    (configs / "metadata.json").write_text(json.dumps(metadata))
    (configs / "inference.json").write_text("{}")
    report = {"spaces": {"radiomics": {"models": {"mine": {"fid": {"value": 12.345}, "recall": {"value": 0.5}}}}}}
    (tmp_path / "bundles/mine/eval").mkdir()
    (tmp_path / "bundles/mine/eval/report.json").write_text(json.dumps(report))
    Image.new("L", (4, 4)).save(tmp_path / "bundles/mine/eval/mixing.png")
    main(["gallery", f"--output_dir={tmp_path}", f"--folder={tmp_path / 'bundles'}"])
    page = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    assert "Mine &lt;1&gt;" in page
    assert page.count("<figcaption>mixed styles, as made here</figcaption>") == page.count("<figure>") == 1
    assert "<td>fid (radiomics)</td><td>12.3</td>" in page
    assert "train.json" not in page


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="there is no bundle in"):
        main(["gallery", f"--output_dir={tmp_path}", f"--folder={tmp_path}"])
