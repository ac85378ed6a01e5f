"""Three readers in headless Chromium: with the mouse, with the keyboard alone, and on a phone's screen.

Skipped where there is no Chromium with its driver (Debian: chromium-driver). `STUDY_SCREENSHOTS` names a folder that
pictures of the pages are written to, `STUDY_SHOWN` and `STUDY_SHOWN_VOLUMES` studies to read instead of small ones.
"""

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from waitress.server import create_server

from tools.study.database import Database
from tools.study.folder import load_access, load_study
from tools.study.order import reading_order
from tools.study.scoring import score
from tools.study.server import make_app

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.common.exceptions import TimeoutException  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with chromedriver here")

DESK, PHONE = (1280, 900), (390, 844)
PATIENCE_S = 60


class Page:
    """A page in a browser; ``shoot`` keeps a picture."""

    def __init__(self, driver, name):
        self.driver, self.name, self.count = driver, name, 0

    def find(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.find(selector)[0]

    def wait(self, condition):
        try:
            WebDriverWait(self.driver, PATIENCE_S, poll_frequency=0.05).until(lambda _: condition())
        except TimeoutException:
            self.shoot("timeout")
            log = self.driver.get_log("browser")
            pytest.fail(f"{PATIENCE_S} s went by; the page shows {self.one('body').text!r}, its log is {log}")

    def shown(self):
        return self.driver.execute_script("return (document.querySelector('main:not([hidden])') || {}).id || ''")

    def ready(self, number):
        """Waits until a question, or what comes between sections or at the end, is there."""

        def there():
            if self.shown() != "reading":
                return self.shown() in ("interlude", "finished", "failed", "abandoned")
            images = self.find(".image img, .image canvas")
            return f" {number} " in self.one("#progress").text and images and not self.one("#status").text

        self.wait(there)
        return self.shown()

    def open(self, url):
        """Opens an address and waits until a reader sees it: Chromium drops what is pressed before the first paint."""
        self.driver.get(url)
        painted = "return document.hasFocus() && performance.getEntriesByType('paint').length > 0"
        self.wait(lambda: self.driver.execute_script(painted))

    def keys(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def shoot(self, what):
        if folder := os.environ.get("STUDY_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder) / f"{self.name}_{what}.png"))


@pytest.fixture(scope="module")
def browser():
    """A function that opens a browser of a size, or gives the one that there is, with nothing left of the last test."""
    drivers = {}

    def open_browser(size, phone=False):
        if (driver := drivers.get((size, phone))) is not None:
            driver.get("about:blank")
            driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
            driver.get_log("browser")  # empties it
            return driver
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        options.add_argument(f"--window-size={size[0]},{size[1]}")
        if phone:
            metrics = {"width": size[0], "height": size[1], "pixelRatio": 2, "touch": True}
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        drivers[size, phone] = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        return drivers[size, phone]

    yield open_browser
    for driver in drivers.values():
        driver.quit()


@pytest.fixture
def serve():
    """A function that serves a study in this process, with `around` around its app, and returns its address."""
    servers = []

    def start(folder, around=lambda app: app):
        server = create_server(around(make_app(folder)), host="127.0.0.1", port=0, ident=None)
        threading.Thread(target=server.run, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.effective_port}"

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def shown_study(make_study, tmp_path_factory):
    """A study to look at: the folder of one that `STUDY_SHOWN` names (unread, three readers), or a small one."""
    given = os.environ.get("STUDY_SHOWN")
    if not given:
        return make_study(real_pairs=2, model_pairs=2)
    copy = tmp_path_factory.mktemp("shown") / "study"
    shutil.copytree(given, copy, ignore=shutil.ignore_patterns("answers.sqlite*"))
    return copy


def answers_of(folder, reader):
    database = Database(folder / "answers.sqlite", load_study(folder).fingerprint)
    sitting = database.last_sitting(reader)
    return sitting.state, database.answers(sitting.id)


def with_the_mouse(page, number):
    page.find(".image")[number % 2].click()
    if page.one("#difficulty").is_displayed():
        page.find("#difficulties button")[number % 5].click()
    page.shoot(f"question_{number}")
    page.one("#next").click()


def with_the_keyboard(page, number):
    page.keys("1", Keys.ARROW_RIGHT) if number % 2 else page.keys("2", Keys.ARROW_LEFT)
    if page.one("#difficulty").is_displayed():
        page.keys(str(number % 5 + 1))
    page.shoot(f"question_{number}")
    page.keys(Keys.ENTER)


def with_a_finger(page, number):
    page.find("#choices button")[number % 2].click()
    if page.one("#difficulty").is_displayed():
        page.find("#difficulties button")[number % 5].click()
    page.shoot(f"question_{number}")
    page.one("#next").click()


READERS = {
    "mouse": (1, DESK, with_the_mouse),
    "keyboard": (2, DESK, with_the_keyboard),
    "phone": (3, PHONE, with_a_finger),
}


@pytest.mark.parametrize("name", READERS)
def test_a_study_is_read_to_the_end(name, shown_study, browser, serve):
    reader, size, answer = READERS[name]
    total = len(load_study(shown_study).questions)
    page = Page(browser(size, name == "phone"), name)
    page.open(f"{serve(shown_study)}/r/{load_access(shown_study).readers[reader - 1].token}")
    page.shoot("welcome")
    page.keys(Keys.ENTER) if name == "keyboard" else page.one("#start").click()
    number = 1
    while (shown := page.ready(number)) != "finished":
        if shown == "interlude":
            page.shoot(f"before_{number}")
            page.keys(Keys.ENTER) if name == "keyboard" else page.one("#go").click()
            page.wait(lambda: page.shown() == "reading")
            continue
        assert shown == "reading"
        fits = "return document.documentElement.scrollWidth <= window.innerWidth"
        assert page.driver.execute_script(fits)
        answer(page, number)
        number += 1
    page.shoot("end")
    state, answers = answers_of(shown_study, reader)
    assert state == "finished"
    assert [a.images.split().index(a.choice) for a in answers] == [n % 2 for n in range(1, total + 1)]
    assert [a.difficulty for a in answers if a.difficulty] == [n % 5 + 1 for n in range(1, total + 1)][
        : sum(q.section == "origin" for q in load_study(shown_study).questions)
    ]
    assert all(0 < a.client_ms <= a.server_ms for a in answers)
    assert not [line for line in page.driver.get_log("browser") if "favicon" not in line["message"]]
    if name == "phone":
        page.open(f"{serve(shown_study)}/admin/{load_access(shown_study).admin}")
        page.shoot("admin")
        assert len(score(shown_study).readers) >= 1


def test_survey_by_keyboard_with_a_reason(make_study, browser, serve):
    folder = make_study("survey", scans=2, language="it", planes=("axial",))
    page = Page(browser(PHONE, True), "survey")
    page.open(f"{serve(folder)}/r/{load_access(folder).readers[0].token}")
    page.one("#start").click()
    page.ready(1)
    page.keys("3")
    page.one("#reason").send_keys("coste 1 e 2")
    page.shoot("question_1")
    page.keys(Keys.ENTER)
    page.ready(2)
    page.keys("2", Keys.ENTER)
    assert page.ready(3) == "finished"
    _, answers = answers_of(folder, 1)
    assert [(a.choice, a.reason) for a in answers] == [("cannot tell", "coste 1 e 2"), ("synthetic", "")]


class Interfering:
    """A proxy on the way: the first answer gets a page of its own, the acknowledgement of the second is dropped."""

    def __init__(self, app):
        self.app, self.seen = app, 0

    def __call__(self, environ, start_response):
        if not environ["PATH_INFO"].endswith("/answer"):
            return self.app(environ, start_response)
        self.seen += 1
        if self.seen == 1:
            start_response("200 OK", [("Content-Type", "text/html")])
            return [b"<html>Please log in</html>"]
        if self.seen == 2:
            b"".join(self.app(environ, lambda *_: None))
            start_response("502 Bad Gateway", [("Content-Type", "text/html")])
            return [b"<html>Bad gateway</html>"]
        return self.app(environ, start_response)


def test_an_answer_is_sent_until_the_server_has_it(make_study, browser, serve):
    folder = make_study("survey", scans=2, planes=("axial",))
    page, proxies = Page(browser(DESK), "proxy"), []

    def around(app):
        proxies.append(Interfering(app))
        return proxies[0]

    page.open(f"{serve(folder, around)}/r/{load_access(folder).readers[0].token}")
    page.one("#start").click()
    page.ready(1)
    page.keys("2", Keys.ENTER)
    page.wait(lambda: "sent again" in page.one("#status").text)
    page.shoot("no_connection")
    page.ready(2)
    assert proxies[0].seen == 3
    assert [(a.number, a.choice) for a in answers_of(folder, 1)[1]] == [(1, "synthetic")]


def test_leaving_the_page_ends_the_sitting(make_study, browser, serve):
    folder = make_study()
    page = Page(browser(DESK), "left")
    url = f"{serve(folder)}/r/{load_access(folder).readers[0].token}"
    page.open(url)
    page.one("#start").click()
    page.ready(1)
    page.one("#go").click()
    page.ready(1)
    page.keys("1", "3", Keys.ENTER)
    page.ready(2)
    page.driver.get("about:blank")
    page.wait(lambda: answers_of(folder, 1)[0] == "abandoned")
    page.open(url)
    assert page.shown() == "abandoned"
    page.shoot("abandoned")
    assert len(answers_of(folder, 1)[1]) == 1


def test_whole_volumes_are_scrolled_turned_and_windowed(make_study, browser, serve):
    folder = os.environ.get("STUDY_SHOWN_VOLUMES") or make_study(real_pairs=1, model_pairs=0, volumes=True)
    copy = Path(folder).with_name("read_" + Path(folder).name)
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("answers.sqlite*"))
    study = load_study(copy)
    page = Page(browser(DESK), "volumes")
    page.open(f"{serve(copy)}/r/{load_access(copy).readers[0].token}")
    page.one("#start").click()
    if page.ready(1) == "interlude":
        page.one("#go").click()
        page.wait(lambda: page.shown() == "reading")
        page.ready(1)

    def pixels(number):
        script = (
            "const c = arguments[0]; return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
        )
        canvas = page.find(".image canvas")[number]
        flat = page.driver.execute_script(script, canvas)
        return np.array(flat, np.uint8).reshape(int(canvas.get_attribute("height")), -1, 4)[..., 0]

    def expected(number, axis, index, width, level):
        grey = (np.take(stacks[number], index, axis) - level) / width + 0.5
        grey = np.clip(grey * 255, 0, 255)
        return grey if axis == 0 else grey[::-1]

    (sitting,) = Database(copy / "answers.sqlite", study.fingerprint).sittings()
    access = load_access(copy)
    asked = reading_order(study, access, access.readers[0], sitting.id)[0]
    stacks = [
        np.frombuffer(study.image_file(name).read_bytes(), "<u2").reshape(study.display["shape"]) + study.display["low"]
        for name in asked.images
    ]
    for axis, key in enumerate("acs"):
        page.keys(key)
        index = round(asked.question.position * (study.display["shape"][axis] - 1))
        page.wait(lambda index=index: int(page.one("#slice").get_attribute("value")) == index)
        for number in (0, 1):
            np.testing.assert_allclose(pixels(number), expected(number, axis, index, 1624, -212), atol=1)
        page.shoot(key)
    page.keys("a", Keys.PAGE_UP, Keys.PAGE_UP, Keys.PAGE_DOWN)
    index = round(asked.question.position * (study.display["shape"][0] - 1)) + 1
    page.wait(lambda: int(page.one("#slice").get_attribute("value")) == index)
    page.keys("w")
    page.wait(lambda: page.one("#width-level").text == "W 1705 L -212")
    page.keys("W", "l")
    page.wait(lambda: page.one("#width-level").text == "W 1624 L -131")
    lung = next(b for b in page.find("#presets button") if b.text == "lung")
    lung.click()
    page.wait(lambda: page.one("#width-level").text == "W 1500 L -600")
    for number in (0, 1):
        np.testing.assert_allclose(pixels(number), expected(number, 0, index, 1500, -600), atol=1)
    page.shoot("lung")
    canvas = page.find(".image canvas")[0]
    ActionChains(page.driver).click_and_hold(canvas).move_by_offset(-40, 30).release().perform()
    page.wait(lambda: page.one("#width-level").text != "W 1500 L -600")
    assert not page.find(".chosen")  # a drag is no choice
    page.shoot("dragged")
    canvas.click()
    page.wait(lambda: len(page.find(".chosen")) == 1)
    page.keys("5", Keys.ENTER)
    if len(study.questions) == 1:
        assert page.ready(2) == "finished"
        assert answers_of(copy, 1)[0] == "finished"
