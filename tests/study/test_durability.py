"""A real server on a real port: no answer that was acknowledged is lost, to a kill or to fifty readers at once."""

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools.study.database import Database
from tools.study.folder import load_access, load_study

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300
SERVE = """
import sys
from tools.study.server import listening, make_app
folder, port, proxies = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
listening(make_app(folder, proxies=proxies), "127.0.0.1", port, proxies).run()
"""


class Server:
    """A process that serves a study; it may be killed and started again."""

    def __init__(self, folder, proxies=0):
        self.folder, self.proxies = folder, proxies
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self):
        arguments = (str(self.folder), str(self.port), str(self.proxies))
        self.process = subprocess.Popen([sys.executable, "-c", SERVE, *arguments], cwd=ROOT)
        stop = time.monotonic() + PATIENCE_S
        while time.monotonic() < stop:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, "the server ended"
                time.sleep(0.05)
        raise TimeoutError("the server did not start")

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Browser:
    """A reader over HTTP."""

    def __init__(self, port, token):
        self.port, self.token, self.page, self.cookie = port, token, secrets.token_hex(32), ""

    def post(self, what, **content):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            headers = {"Content-Type": "application/json", "Cookie": self.cookie}
            connection.request("POST", f"/r/{self.token}/{what}", json.dumps({"page": self.page, **content}), headers)
            response = connection.getresponse()
            if cookie := response.getheader("Set-Cookie"):
                self.cookie = cookie.split(";")[0]
            return json.loads(response.read())
        finally:
            connection.close()

    def answer(self, number, choice):
        """True if the answer was acknowledged."""
        question = self.post("question")
        assert question["number"] == number
        difficulty = 3 if question["section"] == "origin" else None
        return self.post("answer", number=number, choice=choice, difficulty=difficulty, ms=10) == {"accepted": number}


@pytest.fixture
def served(make_study):
    """A function that builds and serves a study for so many readers."""
    servers = []

    def make(readers, proxies=0):
        servers.append(Server(make_study(readers=tuple(f"reader {i}" for i in range(readers))), proxies))
        return servers[-1]

    yield make
    for server in servers:
        server.kill()


def kept(folder):
    """[(reader, number, position of the chosen image)] of all answers on the disk."""
    database = Database(folder / "answers.sqlite", load_study(folder).fingerprint)
    return sorted(
        (sitting.reader, answer.number, answer.images.split().index(answer.choice))
        for sitting in database.sittings()
        for answer in database.answers(sitting.id)
    )


def test_acknowledged_answers_survive_kill_9(served):
    """Six readers answer while the server is killed three times; they go on where they were, as their pages do."""
    server = served(6)
    tokens = [reader.token for reader in load_access(server.folder).readers]
    acknowledged, lock, stop = [], threading.Lock(), time.monotonic() + PATIENCE_S

    def read(reader):
        browser, number = Browser(server.port, tokens[reader - 1]), 1
        started = False
        while number <= 10 and time.monotonic() < stop:
            try:
                started = started or browser.post("start") == {"started": True}
                question = browser.post("question")
                if question["done"]:
                    return  # the last acknowledgement was lost, the answer was not
                number, choice = question["number"], (reader + question["number"]) % 2
                if browser.answer(number, choice):
                    with lock:
                        acknowledged.append((reader, number, choice))
                    time.sleep(0.1)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(read, reader) for reader in range(1, 7)]
        for target in (12, 25, 40):
            while len(acknowledged) < target and time.monotonic() < stop:
                time.sleep(0.005)
            server.kill()
            assert set(acknowledged) <= set(kept(server.folder))
            server.start()
        for future in futures:
            future.result()
    found = kept(server.folder)
    assert len(acknowledged) >= 40
    assert set(acknowledged) <= set(found)
    assert found == [(r, n, (r + n) % 2) for r in range(1, 7) for n in range(1, 11)]


def test_fifty_readers_at_once_lose_nothing(served):
    """Each sends every answer twice, at once."""
    server = served(50)
    tokens = [reader.token for reader in load_access(server.folder).readers]
    together = threading.Barrier(50)

    def read(reader):
        browser = Browser(server.port, tokens[reader - 1])
        together.wait()
        assert browser.post("start") == {"started": True}
        for number in range(1, 11):
            question = browser.post("question")
            difficulty = 3 if question["section"] == "origin" else None
            content = {"number": number, "choice": (reader + number) % 2, "difficulty": difficulty, "ms": 10}
            sent = [browser.post("answer", **content) for _ in range(2)]
            assert sent == [{"accepted": number}] * 2
        return browser.post("question")["done"]

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(read, range(1, 51)))
    assert kept(server.folder) == [(r, n, (r + n) % 2) for r in range(1, 51) for n in range(1, 11)]
    database = Database(server.folder / "answers.sqlite", load_study(server.folder).fingerprint)
    states = {sitting.state for sitting in database.sittings()}
    assert states == {"finished"}


def test_one_answer_sent_many_times_at_once_counts_once(served):
    server = served(1)
    browser = Browser(server.port, load_access(server.folder).readers[0].token)
    browser.post("start")
    browser.post("question")
    together = threading.Barrier(12)

    def send(turn):
        together.wait()
        return browser.post("answer", number=1, choice=turn % 2, difficulty=3, ms=10)

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(send, range(12)))
    ((_, number, choice),) = kept(server.folder)
    assert number == 1
    accepted = [turn % 2 for turn, response in enumerate(found) if response == {"accepted": 1}]
    assert accepted == [choice] * 6
    assert found.count({"error": "conflict"}) == 6


@pytest.mark.parametrize("proxies", [0, 1])
def test_a_proxy_is_believed_only_if_there_is_one(served, proxies):
    server = served(1, proxies)
    token = load_access(server.folder).readers[0].token
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    headers = {"Content-Type": "application/json", "X-Forwarded-Proto": "https", "X-Forwarded-For": "10.0.0.1"}
    connection.request("POST", f"/r/{token}/start", json.dumps({"page": "0" * 64}), headers)
    response = connection.getresponse()
    assert ("Secure" in response.getheader("Set-Cookie")) == bool(proxies)
    assert response.getheader("Server") is None
    connection.close()
