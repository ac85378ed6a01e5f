"""Pages of samples: what is written is what the files hold, and a browser shows it, from the disk alone."""

import base64
import contextlib
import gzip
import json
import re
import shutil
import time

import nibabel as nib
import numpy as np
import pytest

from tests.tiny import REPOSITORY
from tools.__main__ import main
from tools.gallery.samples import block_means, cases_of, read_sample, window_of
from tools.io.labelled_folder import LabelledFolder
from tools.io.provenance import Provenance
from tools.transforms.outlines import COLOURS

RECORD = Provenance("rflow_hippocampus", "0.1.0").record(0)
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
CLASSES = {"background": 0, "anterior": 1, "posterior": 2}
X, Y, Z = 12, 10, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Samples of two images and labels, one of CT in HU."""
    rng = np.random.default_rng(0)
    cohort = LabelledFolder(tmp_path_factory.mktemp("cohort"), "x", ("mr", "second"), CLASSES, "MR")
    for number in range(2):
        images = [rng.uniform(0, 700, (X, Y, Z)), rng.uniform(-1000, 1400, (X, Y, Z)).round()]
        label = np.zeros((X, Y, Z))
        label[:3, 2:6, 4] = 1
        label[8:, 2:6, 4:6] = 2
        cohort.add(f"s{number}", images, label, AFFINE, RECORD)
    cohort.finish()
    return cohort.folder


@pytest.fixture(scope="module")
def written(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("gallery")
    main(["gallery", f"--output_dir={out}", f"--samples=rflow_hippocampus={folder}", "--most=1"])
    return out


@pytest.fixture(scope="module")
def page(written):
    return written / "samples" / "rflow_hippocampus" / "s0.html"


def content_of(page):
    (found,) = re.findall(r'<script type="application/json" id="content">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(found)


def voxels(text, levels, shape):
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), "<u2" if levels > 255 else np.uint8).reshape(shape)


def as_looked_at(path):
    """[slices to the head, rows to the back, columns to the left] of a file with axes to the right, front, head."""
    image = nib.load(path)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    return np.asanyarray(image.dataobj)[::-1, ::-1].transpose(2, 1, 0)


def test_the_page_holds_the_voxels_of_the_files(page, folder):
    content = content_of(page)
    names = [channel["name"] for channel in content["channels"]]
    assert names == ["mr", "second"]
    for number, channel in enumerate(content["channels"]):
        assert channel["shape"] == [Z, Y, X]
        assert channel["spacing"] == [3, 2, 1]
        stored = as_looked_at(folder / f"imagesTr/s0_{number:04d}.nii.gz").astype(float)
        found = voxels(channel["data"], channel["levels"], (Z, Y, X))
        step = (channel["high"] - channel["low"]) / channel["levels"]
        shown = channel["low"] + step * found
        inside = np.clip(stored, channel["low"], channel["high"])
        assert abs(shown - inside).max() <= step / 2 * 1.001
    assert content["channels"][0]["levels"] == 255
    assert content["channels"][1]["hounsfield"]
    assert content["channels"][1]["levels"] > 255  # whole HU
    label = voxels(content["labels"]["data"], 255, (Z, Y, X))
    assert np.array_equal(label, as_looked_at(folder / "labelsTr/s0.nii.gz"))
    named = [(one["name"], one["value"], one["colour"]) for one in content["labels"]["classes"]]
    assert named == [("anterior", 1, list(COLOURS[0])), ("posterior", 2, list(COLOURS[1]))]


def test_pages_need_nothing_but_themselves(written, page):
    text = page.read_text()
    assert not re.findall(r"""(?:src|href)=|https?:|import\(|fetch\(""", text)
    gallery = (written / "gallery.html").read_text()
    links = re.findall(r'href="([^"]*)"', gallery)
    assert links == ["samples/rflow_hippocampus/s0.html"]
    assert (written / links[0]).is_file()


def test_large_volumes_are_means_of_blocks():
    volume = np.random.default_rng(1).normal(size=(5, 4, 7)).astype(np.float32)
    found = block_means(volume, (2, 1, 3))
    assert found.shape == (3, 4, 3)
    for z, y, x in np.ndindex(found.shape):
        block = volume[2 * z : 2 * z + 2, y, 3 * x : 3 * x + 3]
        assert found[z, y, x] == pytest.approx(block.mean(), rel=1e-5, abs=1e-6)


def test_a_side_has_so_many_voxels_at_the_most(folder):
    sample = read_sample(cases_of(folder)[0], 6)
    assert sample.reduced == (2, 2, 2)
    assert sample.label.shape == sample.images["mr"].shape == (4, 5, 6)
    assert sample.spacing == (6, 4, 2)


def test_windows_are_of_what_is_shown():
    assert window_of(np.array([-3000.0, 0, 5000]))[0].low == -1024
    window, hounsfield = window_of(np.r_[np.linspace(0, 500, 999), 9000.0])
    assert not hounsfield
    assert 490 < window.high < 1500
    assert window_of(np.zeros(9))[0].width == 1


def test_images_without_a_list_are_cases_of_their_own(tmp_path):
    for name in ("a", "b"):
        nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), tmp_path / f"{name}.nii.gz")
    assert [case.id for case in cases_of(tmp_path)] == ["a", "b"]
    assert all(case.label is None for case in cases_of(tmp_path))


def test_cases_without_labels_are_called_as_those_with(tmp_path):
    files = ["imagesTr/s_seed00012_0000.nii.gz", "imagesTr/s_seed00012_0001.nii.gz"]
    content = {"channel_names": {"0": "t1", "1": "t2"}, "training": [{"image": files}]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert cases_of(tmp_path)[0].id == "s_seed00012"


def test_labels_are_named_as_nnunet_or_the_decathlon_has_it(folder, tmp_path):
    content = json.loads((folder / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps(content | {"labels": {"0": "background", "2": "b", "1": "a"}}))
    assert cases_of(folder)[0].classes == {"anterior": 1, "posterior": 2}
    assert cases_of(tmp_path)[0].classes == {"a": 1, "b": 2}


def test_what_cannot_be_shown_is_named(folder, tmp_path, caplog):
    with pytest.raises(SystemExit, match="there is no such bundle"):
        main(["gallery", f"--output_dir={tmp_path}", f"--samples=nobody={folder}"])
    with pytest.raises(SystemExit, match="does not exist"):
        main(["gallery", f"--output_dir={tmp_path}", f"--samples=rflow_hippocampus={tmp_path / 'nothing'}"])
    shutil.copytree(folder, tmp_path / "odd")
    bad = np.full((X, Y, Z), np.nan, np.float32)
    nib.save(nib.Nifti1Image(bad, AFFINE), tmp_path / "odd/imagesTr/s0_0000.nii.gz")
    main(["gallery", f"--output_dir={tmp_path / 'out'}", f"--samples=rflow_hippocampus={tmp_path / 'odd'}"])
    assert "left out" in caplog.text
    assert "s0_0000.nii.gz" in caplog.text
    assert [path.name for path in (tmp_path / "out/samples/rflow_hippocampus").iterdir()] == ["s1.html"]


CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def driver():
    webdriver = pytest.importorskip("selenium.webdriver")
    if not (CHROMIUM and DRIVER):
        pytest.skip("no Chromium with chromedriver here")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1280,860")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


def wait(driver, script, frame=None):
    """Until a script is true, in a frame that a selector names."""
    from selenium.common.exceptions import WebDriverException

    for _ in range(600):
        with contextlib.suppress(WebDriverException):  # while a frame is loading there is nothing to ask
            driver.switch_to.default_content()
            if frame is not None:
                driver.switch_to.frame(driver.find_element("css selector", frame))
            if found := driver.execute_script(f"return {script}"):
                return found
        time.sleep(0.05)
    pytest.fail(f"{script} stays false; the log is {driver.get_log('browser')}")


def errors(driver):
    """What the browser complains of, but for warnings that this test reads pixels slowly."""
    return [one for one in driver.get_log("browser") if one["level"] == "SEVERE"]


def pixels(driver, plane):
    """RGB [h, w, 3] of a plane's canvas."""
    script = """const c = document.querySelector(arguments[0]);
      return [c.height, c.width, [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]]"""
    h, w, data = driver.execute_script(script, f"#{plane} canvas")
    return np.array(data).reshape(h, w, 4)[..., :3]


def test_a_browser_shows_it_from_the_disk(driver, page, folder):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    driver.get(page.as_uri())
    wait(driver, "document.body.dataset.ready")
    (channel, _), label = content_of(page)["channels"], as_looked_at(folder / "labelsTr/s0.nii.gz")
    grey = voxels(channel["data"], 255, (Z, Y, X)).astype(float)

    def expected(cut, share=0.4):
        values, classes = grey[cut], label[cut]
        picture = np.repeat(values[..., None], 3, -1)
        for value in (1, 2):
            picture[classes == value] += share * (np.array(COLOURS[value - 1]) - picture[classes == value])
        return picture

    def moved(steps):
        driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        for plane, cut in steps.items():
            picture = expected(cut) if plane == "axial" else expected(cut)[::-1]
            assert abs(pixels(driver, plane) - picture).max() <= 1

    moved({"axial": np.s_[4], "coronal": np.s_[:, 5], "sagittal": np.s_[:, :, 6]})
    axial = driver.find_element(By.CSS_SELECTOR, "#axial canvas")
    ActionChains(driver).move_to_element(axial).perform()
    driver.execute_script(
        "document.querySelector('#axial').dispatchEvent(new WheelEvent('wheel', {deltaY: -120, cancelable: true}))"
    )
    moved({"axial": np.s_[5]})
    # a click in the axial plane moves the other two: the left upper corner is the patient's right front
    width, height = axial.size["width"], axial.size["height"]
    ActionChains(driver).move_to_element_with_offset(axial, -width // 2 + 2, -height // 2 + 2).click().perform()
    moved({"axial": np.s_[5], "coronal": np.s_[:, 0], "sagittal": np.s_[:, :, 0]})
    ActionChains(driver).send_keys("c", *["\ue013"] * 3).perform()  # the arrow up: to the back
    moved({"coronal": np.s_[:, 3], "sagittal": np.s_[:, :, 0]})
    assert "row and column 6, 4, 1" in driver.find_element(By.ID, "readout").text
    ActionChains(driver).send_keys("o").perform()
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert abs(pixels(driver, "axial") - grey[5][..., None]).max() <= 1
    ActionChains(driver).send_keys("W").perform()
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    narrower = np.clip((grey[5] / 255 - 0.5) / 0.95 + 0.5, 0, 1) * 255
    assert abs(pixels(driver, "axial") - narrower[..., None]).max() <= 1
    assert errors(driver) == []


def test_a_sample_opens_above_the_gallery(driver, written):
    driver.get((written / "gallery.html").as_uri())
    driver.execute_script("document.querySelector('a[data-sample]').click()")
    frame = "document.querySelector('dialog[open] iframe').src.endsWith('samples/rflow_hippocampus/s0.html')"
    wait(driver, frame)
    wait(driver, "document.body && document.body.dataset.ready", "dialog iframe")
    assert errors(driver) == []


@pytest.mark.parametrize("bundle", ["rflow_hippocampus"], indirect=True)
def test_a_bundle_with_weights_makes_samples_first(bundle, trained, tmp_path):
    home = tmp_path / "bundles" / bundle
    for part in ("configs", "docs"):
        shutil.copytree(REPOSITORY / "bundles" / bundle / part, home / part)
    shutil.copytree(trained / "models", home / "models", ignore=shutil.ignore_patterns("checkpoint*"))
    config = home / "configs/inference.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"steps": 2, "device": "cpu"}))
    main(["gallery", f"--output_dir={tmp_path / 'out'}", f"--folder={home.parent}", "--generate=1"])
    (page,) = (tmp_path / "out/samples" / bundle).glob("*.html")
    assert content_of(page)["labels"]["classes"][0]["name"] == "anterior"
    assert page.with_suffix("").name in (tmp_path / "out/gallery.html").read_text()
