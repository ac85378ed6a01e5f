"""Every byte that readers can get, searched for what might tell real from synthetic or one model from the other."""

import hashlib
import itertools
import json
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from tools.study.build import Settings, build_2afc
from tools.study.database import Database
from tools.study.folder import load_access, load_key, load_study
from tools.study.server import make_app

STUDY = str(Path(make_app.__code__.co_filename).parent)

PLAIN = {"Server", "Date"}


@pytest.fixture(params=["2afc", "survey", "volumes"])
def read(request, make_study, reading):
    """A study, and everything that three readers received."""
    kind = "survey" if request.param == "survey" else "2afc"
    folder = make_study(kind, volumes=request.param == "volumes", readers=tuple("abcd"))
    app = make_app(folder)
    readers = [reading(folder, number, app) for number in (1, 2, 3, 4)]
    rng = np.random.default_rng(0)
    questions = [reader.read_to_the_end(lambda question: int(rng.integers(2))) for reader in readers]
    for reader in readers:
        for name in ("study.css", "study.js", "viewer.js", "icon.svg"):
            reader.get(f"/static/{name}")
    return folder, readers, questions


def received(reader):
    """All text that a reader got, images left out: status lines, headers and bodies."""
    parts = []
    for response in reader.responses:
        parts.append(f"{response.request.path} {response.status}\n{response.headers}")
        if response.mimetype not in ("image/png", "application/octet-stream"):
            parts.append(response.get_data(as_text=True))
    return "\n".join(parts)


def images(reader):
    return [r for r in reader.responses if "/image/" in r.request.path]


def test_no_word_path_or_hash_of_an_origin(read):
    folder, readers, _ = read
    key = load_key(folder)
    manifest = json.loads((folder / "study.json").read_text())
    secrets = {str(folder), manifest["fingerprint"], "readers.json", "key.json", load_access(folder).secret.hex()}
    secrets |= {q["id"] for q in manifest["questions"]} | set(key["images"])
    for image in key["images"].values():
        secrets |= {image["source"], *(m for m in key["models"] if m != "synthetic")}
        for digest in ("md5", "sha1", "sha256"):
            secrets |= {hashlib.new(digest, image[name].encode()).hexdigest() for name in ("source", "origin")}
    for name in key["images"]:
        content = (folder / "images" / name).read_bytes()
        secrets |= {hashlib.new(digest, content).hexdigest() for digest in ("md5", "sha1", "sha256")}
    for reader in readers:
        text = received(reader)
        assert len(text) > 10_000
        assert not [secret for secret in secrets if secret in text]


def test_messages_about_all_questions_are_alike(read):
    """But for numbers and addresses, what is said about a question is the same for all of its section."""
    _, readers, questions = read
    kinds = {}
    for asked in itertools.chain(*questions):
        for url in asked["images"]:
            assert re.fullmatch(r"/r/[\w-]{43}/image/[0-9a-f]{32}", url)
        rest = {k: v for k, v in asked.items() if k not in ("images", "number", "number_in_section")}
        rest |= {"plane": None, "position": None} if "plane" in asked else {}
        kinds.setdefault(asked["section"], set()).add(json.dumps(rest, sort_keys=True))
    assert all(len(of) == 1 for of in kinds.values())
    answers = {
        re.sub(rb"\d+", b"n", r.data)
        for reader in readers
        for r in reader.responses
        if r.request.path.endswith("/answer")
    }
    assert len(answers) == 1  # right and wrong answers are acknowledged alike


def test_images_are_equal_in_headers_and_length(read):
    folder, readers, _ = read
    served = [response for reader in readers for response in images(reader)]
    assert len(served) == 4 * sum(len(q.images) for q in load_study(folder).questions)
    headers = {tuple(sorted((k, v) for k, v in r.headers.items() if k not in PLAIN)) for r in served}
    assert len(headers) == 1
    names = {name for name, _ in headers.pop()}
    assert not names & {"ETag", "Last-Modified", "Content-Disposition", "Set-Cookie", "Content-Encoding", "Expires"}
    assert len({len(r.data) for r in served}) == 1
    if not load_study(folder).volumes:
        assert {chunks(r.data) for r in served} == {("IHDR", "IDAT", "IEND")}
        assert len({r.data[:33] for r in served}) == 1


def chunks(png):
    names, at = [], 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        names.append(name.decode())
        at += length + 12
    return tuple(names)


def test_readers_cannot_compare_names_nor_order(read):
    """Addresses of one image differ between readers, and those of one reader occur once; orders differ."""
    _, readers, questions = read
    addresses = [[url.rsplit("/", 1)[1] for asked in of for url in asked["images"]] for of in questions]
    everything = list(itertools.chain(*addresses))
    assert len(set(everything)) == len(everything)
    shown = [[hashlib.sha256(r.data).hexdigest() for r in images(reader)] for reader in readers]
    assert len({tuple(sorted(of)) for of in shown}) == 1
    # six scans have 720 orders, so two of the four readers share theirs in one study of 120, three hardly ever
    assert len({tuple(of) for of in shown}) >= 3


def test_the_place_on_the_screen_says_nothing(read):
    """Left and right are balanced for every reader."""
    folder, readers, _ = read
    key = load_key(folder)["images"]
    by_content = {(folder / "images" / name).read_bytes(): image["origin"] for name, image in key.items()}
    if load_study(folder).kind == "survey":
        return
    for reader in readers:
        pairs = list(zip(*[iter(by_content[r.data] for r in images(reader))] * 2, strict=True))
        origin = [left == "real" for left, right in pairs if "real" in (left, right)]
        models = [left == "crf_gan" for left, right in pairs if "real" not in (left, right)]
        assert (sum(origin), sum(models)) == (2, 3)


def test_the_page_is_the_same_for_all_readers(read):
    _, readers, _ = read
    pages = {
        r.get_data(as_text=True).replace(reader.token, "TOKEN")
        for reader in readers
        for r in reader.responses
        if r.request.path == f"/r/{reader.token}"
    }
    assert len(pages) == 1


def test_values_tell_nothing_by_their_steps(make_study, sets, tmp_path):
    """Real images are whole numbers beyond the window, generated ones fractions within it: neither is seen."""
    for name, change in (("whole", lambda v: np.rint(v * 2)), ("fraction", lambda v: np.clip(v, -1000, 500))):
        (tmp_path / name).mkdir()
        for i in range(2):
            volume = np.load(sets / "real" / f"real_{i}.npy")
            np.save(tmp_path / name / f"{i}.npy", change(volume).astype(np.float32))
    models = {"m": str(tmp_path / "fraction")}
    folder = build_2afc(tmp_path / "study", str(tmp_path / "whole"), models, 2, 0, Settings(volumes=True))
    study = load_study(folder)
    for question in study.questions:
        for name in question.images:
            stack = np.frombuffer(study.image_file(name).read_bytes(), "<u2")
            assert stack.max() <= study.display["levels"]
            assert len(np.unique(stack)) > 300


class Work:
    """What the server does while a request is answered: lines of the project that run, files read, and SQL."""

    def __init__(self, monkeypatch):
        self.done = []
        read, connect = Path.read_bytes, Database._connection

        def read_bytes(path):
            content = read(path)
            self.done.append(("read", len(content)))
            return content

        def connection(database):
            db = connect(database)
            db.set_trace_callback(lambda sql: self.done.append(("sql", re.sub(r"'[^']*'|[0-9.]+", "?", sql))))
            return db

        monkeypatch.setattr(Path, "read_bytes", read_bytes)
        monkeypatch.setattr(Database, "_connection", connection)

    def of(self, request):
        """The steps, one after the other, and the response."""

        def trace(frame, event, _):
            if not frame.f_code.co_filename.startswith(STUDY):
                return None
            if event == "line":
                self.done.append((frame.f_code.co_name, frame.f_lineno))
            return trace

        self.done = []
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            response = request()
        finally:
            sys.settrace(before)
        return tuple(self.done), response


@pytest.mark.parametrize("kind", ["2afc", "survey", "volumes"])
def test_no_origin_takes_another_way_through_the_server(kind, make_study, reading, monkeypatch):
    """Timing, without a clock: for every image, and for right and wrong answers, the same lines run, as many bytes are
    read and the same SQL is done; nothing is kept from one request for another. What is left to differ is chance.
    """
    folder = make_study("survey" if kind == "survey" else "2afc", volumes=kind == "volumes")
    key = load_key(folder)["images"]
    by_content = {(folder / "images" / name).read_bytes(): image["origin"] for name, image in key.items()}
    reader, work, ways = reading(folder), Work(monkeypatch), {}
    reader.start()
    while not (question := reader.question())["done"]:
        origins = []
        for slot, url in enumerate(question["images"]):
            for turn in ("first", "again"):
                steps, response = work.of(lambda url=url: reader.get(url))
                assert sum(step[0] == "read" for step in steps) == 1
                ways.setdefault((turn, slot), {}).setdefault(by_content[response.data], set()).add(steps)
            origins.append(by_content[response.data])
        # one and the other by turns; the last answer ends the sitting, whatever it is
        choice = question["number_in_section"] % 2
        if len(origins) == 2:
            choice = origins.index(sorted(origins)[choice])
        steps, _ = work.of(lambda question=question, choice=choice: reader.answer(question, choice))
        if question["number"] < question["total"]:
            chosen = origins[choice] if len(origins) == 2 else (origins[0], choice)
            ways.setdefault((question["section"], "answer"), {}).setdefault(chosen, set()).add(steps)
    for what, by_origin in ways.items():
        assert len(by_origin) >= 2, what
        assert len(set.union(*by_origin.values())) == 1, what
    for slot in range(1 if kind == "survey" else 2):
        assert ways["first", slot] == ways["again", slot]
