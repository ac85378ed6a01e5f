"""Where a study is served: headers, proxies, links that can be opened, a port that is free."""

import socket
from types import SimpleNamespace

import pytest

from tools.errors import mendable_message
from tools.study import command
from tools.study.folder import load_access, load_key
from tools.study.links import LOCAL, links
from tools.study.server import HEADERS, make_app


def test_headers_keep_links_and_images_in_the_hospital(study, reading):
    reader = reading(study)
    reader.read_to_the_end()
    reader.get(f"/admin/{load_access(study).admin}")
    for name in ("study.js", "viewer.js", "study.css", "admin.css"):
        assert "http" not in reader.get(f"/static/{name}").get_data(as_text=True)
    for response in reader.responses:
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        if response.mimetype == "text/html":
            text = response.get_data(as_text=True).replace("http-equiv", "").replace(LOCAL, "")
            assert "http" not in text


def test_behind_a_proxy_with_tls(study):
    app = make_app(study, proxies=1, address="https://study.example.org/ct/")
    access = load_access(study)
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "study.example.org", "X-Forwarded-Prefix": "/ct"}
    client, token = app.test_client(), access.readers[0].token
    response = client.post(f"/r/{token}/start", json={"page": "0" * 64}, headers=forwarded)
    cookie = response.headers["Set-Cookie"]
    assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=Strict", f"Path=/ct/r/{token}"))
    page = client.get(f"/admin/{access.admin}", headers=forwarded).get_data(as_text=True)
    assert f"https://study.example.org/ct/r/{token}" in page
    plain = make_app(study, study.parent / "other.sqlite").test_client()
    cookie = plain.post(f"/r/{token}/start", json={"page": "0" * 64}, headers=forwarded).headers["Set-Cookie"]
    assert "Secure" not in cookie  # without --proxies nobody's word is taken for it


def test_links_are_printed_for_everybody(study):
    access = load_access(study)
    shown = dict(links(access, "https://study.example.org/"))
    assert shown["anna"] == f"https://study.example.org/r/{access.readers[0].token}"
    assert list(shown) == ["administrator", "anna", "bruno", "carla"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"host": "0.0.0.0", "port": 90}, "http://reading-room:90"),
        ({"host": "::1", "port": 90}, "http://[::1]:90"),
        ({"address": "https://study.example.org"}, "https://study.example.org"),
    ],
)
def test_printed_links_can_be_opened(study, options, expected, monkeypatch, capsys):
    """0.0.0.0 means all of the computer's addresses and is none that a browser could open."""
    monkeypatch.setattr(command, "listening", lambda *_: SimpleNamespace(run=lambda: None))
    monkeypatch.setattr(command.socket, "gethostname", lambda: "reading-room")
    command.StudyCommands().serve(str(study), **options)
    assert f"anna: {expected}/r/{load_access(study).readers[0].token}\n" in capsys.readouterr().out


def test_a_busy_port_is_refused_before_links_are_printed(study, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = rf"^the study cannot be served at port {port} of 127.0.0.1: another program listens there.* --port"
        with pytest.raises(ValueError, match=said) as refused:
            command.StudyCommands().serve(str(study), port=port)
    assert mendable_message(refused.value).startswith("ValueError: the study cannot be served")
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match=r"192\.0\.2\.1: it is no address of this computer.* --host"):
        command.StudyCommands().serve(str(study), host="192.0.2.1", port=port)


@pytest.mark.parametrize("proxies", [0, 1])
def test_links_begin_with_the_address_given_whatever_a_request_says(study, proxies):
    access = load_access(study)
    client = make_app(study, proxies=proxies, address="https://study.example.org").test_client()
    foreign = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    page = client.get(f"/admin/{access.admin}", headers=foreign)
    assert f'value="https://study.example.org/r/{access.readers[0].token}"' in page.get_data(as_text=True)
    answers = [page, client.get(f"/r/{access.readers[0].token}", headers=foreign)]
    answers.append(client.post(f"/admin/{access.admin}/close", headers=foreign, data={"sure": "yes"}))
    answers += [
        client.get(url, headers=foreign) for url in (f"/r//{access.readers[0].token}", "/static//study.js", "/x/")
    ]
    for answer in answers:
        assert "evil" not in answer.get_data(as_text=True) + str(answer.headers)


def test_serving_needs_no_key(study, reading):
    (study / "key" / "key.json").unlink()
    assert len(reading(study).read_to_the_end()) == 10
    with pytest.raises(FileNotFoundError):
        load_key(study)
