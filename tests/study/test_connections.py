"""Real sockets: one address cannot take the server for itself, and readers who share an address can all go on."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from tools.study.connections import REQUEST_S, _origin, limited_server

PATIENCE_S = 120
OTHER = "127.0.0.2"
"""Another address of this computer, as a client."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


@contextmanager
def served(application=app, of_one=4, **options):
    server = limited_server(application, of_one, host="127.0.0.1", port=0, **options)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        # a call from outside the loop would close what the loop is looking at
        server.maintenance = lambda now: (_ for _ in ()).throw(SystemExit)
        server.next_channel_cleanup = 0
        server.pull_trigger()
        thread.join(PATIENCE_S)
        server.close()


def connected(server, address="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", server.effective_port), PATIENCE_S, source_address=(address, 0))


def answer(connection):
    """What comes on a connection until the body has come, or the connection is closed."""
    found = b""
    while not found.endswith(b"hello") and (more := connection.recv(1000)):
        found += more
    return found[-5:]


def ask(connection):
    """The body of the answer to a request on an open connection."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return answer(connection)


def closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_one_address_cannot_hold_all_connections():
    with served(of_one=4, connection_limit=12) as server:
        held = [connected(server) for _ in range(40)]
        assert all(closed(connection) for connection in held[:36])
        assert ask(connected(server, OTHER)) == b"hello"
        assert [ask(connection) for connection in held[36:]] == [b"hello"] * 4


def test_readers_of_one_address_go_on_beside_one_who_holds_connections():
    """A new connection takes the place of the oldest that waits for nothing, a request that never ends included."""
    with served(of_one=4) as server:
        for _ in range(20):
            slow = connected(server)
            slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
            reader = connected(server)
            assert ask(reader) == b"hello"
            assert ask(reader) == b"hello"


def test_an_answer_on_its_way_is_not_given_up_for_a_new_connection():
    going, entered = threading.Event(), threading.Semaphore(0)

    def slow_app(environ, start_response):
        entered.release()
        going.wait(PATIENCE_S)
        return app(environ, start_response)

    with served(slow_app, of_one=2, threads=4) as server:
        busy = [connected(server) for _ in range(2)]
        for connection in busy:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert entered.acquire(timeout=PATIENCE_S)
        assert closed(connected(server))
        going.set()
        assert [answer(connection) for connection in busy] == [b"hello"] * 2


def test_behind_a_proxy_the_proxy_counts():
    with served(of_one=None) as server:
        held = [connected(server) for _ in range(40)]
        assert [ask(connection) for connection in held] == [b"hello"] * 40


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"])
def test_a_request_that_arrives_for_too_long_is_given_up(sent):
    """However lively it is; an idle connection of the same age stays."""
    with served() as server:
        idle, slow = connected(server), connected(server)
        assert ask(idle) == b"hello"
        slow.sendall(sent)
        while not any(channel.arriving_since for channel in list(server.active_channels.values())):
            time.sleep(0.01)
        slow.sendall(b"1")
        server.maintenance(time.time() + REQUEST_S + 1)
        server.pull_trigger()
        assert closed(slow)
        assert ask(idle) == b"hello"


def test_large_requests_are_refused_before_they_are_read():
    with served(max_request_body_size=1000, max_request_header_size=1000) as server:
        for sent, status in (
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n", b"413"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 2000 + b"\r\n\r\n", b"431"),
        ):
            connection = connected(server)
            connection.sendall(sent)
            assert connection.recv(1000).split()[1] == status


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("2001:db8::1", 1, 0, 0), ("2001:db8::ffff:2", 2, 0, 0), True),
        (("2001:db8::1", 1, 0, 0), ("2001:db8:0:1::1", 1, 0, 0), False),
        (("::ffff:10.0.0.1", 1, 0, 0), ("10.0.0.1", 1), True),
        (("::ffff:10.0.0.1", 1, 0, 0), ("::ffff:10.0.0.2", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), ("fe80::2%eth0", 1, 0, 2), True),
    ],
)
def test_who_counts_as_one_address(one, other, same):
    assert (_origin(one) == _origin(other)) == same
