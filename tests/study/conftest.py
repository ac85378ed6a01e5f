"""Small sets of volumes, studies made of them, and a reader who answers by the server's own messages."""

import secrets

import numpy as np
import pytest
import torch

from tools.data.phantoms.thorax import thorax_ct
from tools.networks.hierarchical_gan import Generator
from tools.study.build import Settings, build_2afc, build_survey
from tools.study.folder import load_access, load_study
from tools.study.server import make_app

SHAPE = (20, 24, 28)
COUNT = 10
MODELS = ("crf_gan", "ha_gan")


def generated(weights):
    """Volumes in HU of a small generator that was not trained: float32 [COUNT, *SHAPE]."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(weights)
        network = Generator(image_size=32, latent_dim=64, base_channels=8)
        volumes = network(torch.randn(COUNT, 64))[:, 0].numpy()
    depth, height, width = SHAPE
    volumes = np.clip(1.3 * volumes[:, :depth, :height, :width], -1, 1)  # training would bring it to the whole range
    return (volumes + 1) * 812 - 1024


@pytest.fixture(scope="session")
def sets(tmp_path_factory):
    """Folders of ten volumes each: phantoms, which stand for real ones, and those of two models."""
    root = tmp_path_factory.mktemp("sets")
    volumes = {"real": [thorax_ct([1, i], SHAPE).hu.astype(np.float32) for i in range(COUNT)]}
    volumes |= {model: generated(weights) for weights, model in enumerate(MODELS)}
    for name, of in volumes.items():
        (root / name).mkdir()
        for i, volume in enumerate(of):
            np.save(root / name / f"{name}_{i}.npy", volume)
    return root


@pytest.fixture(scope="session")
def make_study(sets, tmp_path_factory):
    """A function that builds a study: kind, then whatever differs from the usual."""

    def make(kind="2afc", real_pairs=4, model_pairs=6, scans=6, **settings):
        output = tmp_path_factory.mktemp("study") / "study"
        settings = Settings(**{"readers": ("anna", "bruno", "carla"), "seed": 1} | settings)
        if kind == "survey":
            return build_survey(output, str(sets / "real"), str(sets / "crf_gan"), scans, settings)
        models = {name: str(sets / name) for name in MODELS}
        return build_2afc(output, str(sets / "real"), models, real_pairs, model_pairs, settings)

    return make


class Reading:
    """A reader's browser: starts a sitting and answers. ``responses`` is everything that was received."""

    def __init__(self, app, token):
        self.client, self.token, self.page, self.responses = app.test_client(), token, secrets.token_hex(32), []

    def get(self, url):
        return self._kept(self.client.get(url))

    def post(self, what, **content):
        return self._kept(self.client.post(f"/r/{self.token}/{what}", json={"page": self.page, **content}))

    def open(self):
        return self.get(f"/r/{self.token}")

    def start(self):
        return self.post("start")

    def question(self):
        return self.post("question").get_json()

    def answer(self, question, choice=0, **content):
        if question["section"] == "origin":
            content.setdefault("difficulty", 4)
        if question["section"] == "survey" and isinstance(choice, int):
            choice = ("real", "synthetic")[choice]
        return self.post("answer", number=question["number"], choice=choice, **{"ms": 1500} | content)

    def read_to_the_end(self, choose=lambda question: 0):
        """Starts, looks at every image, answers everything; returns the questions."""
        self.open()
        assert self.start().status_code == 200
        questions = []
        while not (question := self.question())["done"]:
            for url in question["images"]:
                assert self.get(url).status_code == 200
            assert self.answer(question, choose(question)).status_code == 200
            questions.append(question)
        return questions

    def _kept(self, response):
        self.responses.append(response)
        return response


@pytest.fixture
def reading():
    """A function: study folder (or app and study folder), number of the reader -> `Reading`."""

    def make(folder, number=1, app=None):
        app = app or make_app(folder)
        return Reading(app, load_access(folder).readers[number - 1].token)

    return make


@pytest.fixture
def study(make_study):
    """A two-alternative forced choice of four and six pairs."""
    folder = make_study()
    assert len(load_study(folder).questions) == 10
    return folder
