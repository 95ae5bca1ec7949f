"""Downloads from a server of our own that can fail in many ways, and from a network that is not there."""

import gzip
import hashlib
import http.server
import io
import os
import tarfile
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from small_files import IMAGES, LABELS, TRAIN_10, idx_bytes, small, small_cifar, write_cifar

import minidl.data.download as download_module
from minidl.data import CIFAR10, MNIST, FashionMNIST
from minidl.data.download import download
from minidl.errors import DataError


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; `cut` lists, for each request to come, after how many bytes the connection breaks."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cut, self.requests, self.ranges = {}, [], [], True

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append((self.path, wanted))
        content = server.files.get(self.path.lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = server.cut.pop(0) if server.cut else None
        self.wfile.write(content[start:][:stop])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(download_module, "_PAUSE_SECONDS", 0)


CONTENT = np.random.default_rng(0).bytes(200_000)


def expect(content):
    def check(path):
        if path.read_bytes() != content:
            raise DataError("check", expected="the right file", actual="another")

    return check


def fetch(server, path, *urls, max_bytes=200_000, check=None):
    return download([server.url(url) for url in urls], path, max_bytes, check or expect(CONTENT))


def test_download(server, tmp_path):
    server.files["a"] = CONTENT
    path = fetch(server, tmp_path / "new" / "folder" / "a", "a")
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["a"]


def test_a_broken_connection_is_resumed(server, tmp_path):
    server.files["a"] = CONTENT
    server.cut = [70_000, 50_000]
    assert fetch(server, tmp_path / "a", "a").read_bytes() == CONTENT
    assert server.requests == [("/a", None), ("/a", "bytes=70000-"), ("/a", "bytes=120000-")]


def test_the_next_call_goes_on_where_the_last_one_stopped(server, tmp_path):
    server.files["a"] = CONTENT
    server.cut = [50_000, 10, 20]
    with pytest.raises(DataError, match=r"ended after 50030 of 200000 bytes"):
        fetch(server, tmp_path / "a", "a")
    assert not (tmp_path / "a").exists() and (tmp_path / "a.part").stat().st_size == 50_030
    assert fetch(server, tmp_path / "a", "a").read_bytes() == CONTENT
    assert server.requests[-1] == ("/a", "bytes=50030-")
    assert os.listdir(tmp_path) == ["a"]


def test_a_server_that_ignores_ranges(server, tmp_path):
    server.files["a"] = CONTENT
    server.cut, server.ranges = [70_000], False
    assert fetch(server, tmp_path / "a", "a").read_bytes() == CONTENT
    assert len(server.requests) == 2


@pytest.mark.parametrize("rest", [b"rubbish", CONTENT, CONTENT + b"too long"])
def test_a_wrong_beginning_is_thrown_away(server, tmp_path, rest):
    server.files["a"] = CONTENT
    (tmp_path / "a.part").write_bytes(rest)
    assert fetch(server, tmp_path / "a", "a").read_bytes() == CONTENT


def test_the_next_mirror_is_tried(server, tmp_path):
    server.files |= {"wrong": CONTENT[::-1], "right": CONTENT}
    path = fetch(server, tmp_path / "a", "missing", "wrong", "right", "unused")
    assert path.read_bytes() == CONTENT
    assert [request[0] for request in server.requests] == ["/missing", "/wrong", "/right"]


def test_every_mirror_is_told(server, tmp_path):
    server.files |= {"wrong": b"<html>"}
    with pytest.raises(DataError) as caught:
        fetch(server, tmp_path / "a", "missing", "wrong")
    assert "HTTP 404" in str(caught.value) and "expected the right file; got another" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_too_large_is_not_received(server, tmp_path):
    server.files["a"] = CONTENT
    with pytest.raises(DataError, match="at most 1000 bytes; got 200000 announced"):
        fetch(server, tmp_path / "a", "a", max_bytes=1000)

    class Silent(io.BytesIO):  # does not announce its length
        status, headers = 200, {}

    def endless(request, timeout):
        return Silent(bytes(10**6))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urllib.request, "urlopen", endless)
        with pytest.raises(DataError, match="at most 100000 bytes; got more"):
            fetch(server, tmp_path / "a", "a", max_bytes=100_000)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (urllib.error.URLError("Name or service not known"), "Name or service not known"),
        (TimeoutError("timed out"), "timed out"),
        (ConnectionResetError("reset by peer"), "reset by peer"),
    ],
)
def test_no_network(tmp_path, monkeypatch, error, told):
    def fail(request, timeout):
        raise error

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(DataError, match=rf"{told}.*is there a network") as caught:
        MNIST(tmp_path, download=True)
    assert str(tmp_path / "mnist" / "train-images-idx3-ubyte.gz") in str(caught.value)


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"can be written.*root="):
        MNIST(tmp_path / "file", download=True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match="no permission"):
        MNIST(tmp_path, download=True)


def test_nothing_is_fetched_unasked(tmp_path, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", lambda *arguments, **options: pytest.fail("went to the network"))
    for dataset in (MNIST, FashionMNIST, CIFAR10):
        with pytest.raises(DataError, match="download=True"):
            dataset(tmp_path)


def test_download_mnist(server, tmp_path):
    for name, array in (("train-images-idx3-ubyte", IMAGES), ("train-labels-idx1-ubyte", LABELS)):
        server.files[f"good/{name}.gz"] = gzip.compress(idx_bytes(array))
        server.files[f"bad/{name}.gz"] = gzip.compress(idx_bytes(array[::-1]))
    known = small(MNIST)
    known._mirrors = (server.url("none/"), server.url("bad/"), server.url("good/"))
    digits = known(tmp_path, download=True)
    np.testing.assert_array_equal(digits.data, IMAGES)
    assert sorted(os.listdir(tmp_path / "mnist")) == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    server.files.clear()
    known(tmp_path, download=True)  # it is there: no request, no failure


def test_download_of_fashion_mnist_is_compared_with_the_packed_checksum(server, tmp_path):
    packed = {}
    for name, array in (("train-images-idx3-ubyte", IMAGES), ("train-labels-idx1-ubyte", LABELS)):
        packed[name] = server.files[f"{name}.gz"] = gzip.compress(idx_bytes(array))
    known = small(FashionMNIST, checksums=False)
    known._mirrors = (server.url(""),)
    files = known._files[True]

    def with_checksums(change):
        return {
            True: tuple(
                file._replace(packed_sha256=hashlib.sha256(packed[file.name] + change).hexdigest()) for file in files
            )
        }

    known._files = with_checksums(b"?")
    with pytest.raises(DataError, match=r"SHA-256 .* of the packed file"):
        known(tmp_path, download=True)
    known._files = with_checksums(b"")
    assert len(known(tmp_path, download=True)) == 6


def cifar_archive(folder, extra=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, content in extra:
            tar.addfile(member, io.BytesIO(content))
        for name in [*TRAIN_10, "test_batch.bin"]:
            tar.add(folder / name, f"cifar-10-batches-bin/{name}")
    return buffer.getvalue()


def served_cifar(server, archive):
    server.files["cifar-10-binary.tar.gz"] = archive
    known = small_cifar(CIFAR10)
    known._mirrors = (server.url(""),)
    known._archive_sha256 = hashlib.sha256(archive).hexdigest()
    return known


def test_download_cifar_takes_only_the_known_files_out_of_the_archive(server, tmp_path):
    pictures = write_cifar(tmp_path / "made", [*TRAIN_10, "test_batch.bin"], [[1], [2], [3]])
    evil = tarfile.TarInfo("../../evil.txt")
    evil.size = 4
    link = tarfile.TarInfo("data_batch_1.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    known = served_cifar(server, cifar_archive(tmp_path / "made", [(evil, b"evil"), (link, b"")]))
    dataset = known(tmp_path / "a" / "b", download=True)
    np.testing.assert_array_equal(dataset.data, pictures[:15])
    folder = tmp_path / "a" / "b" / "cifar-10-batches-bin"
    assert sorted(os.listdir(folder)) == [*TRAIN_10, "test_batch.bin"]
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert sorted(os.listdir(tmp_path / "a" / "b")) == ["cifar-10-batches-bin"]
    assert sorted(os.listdir(tmp_path)) == ["a", "made"]
    known._archive_sha256 = "0" * 64
    with pytest.raises(DataError, match="SHA-256 0000"):
        known(tmp_path / "c", download=True)


@pytest.mark.parametrize(
    ("archive", "told"),
    [(b"no archive", "tar.gz"), (gzip.compress(b""), "tar.gz|without"), ("empty", "without them")],
)
def test_bad_cifar_archives(server, tmp_path, archive, told):
    if archive == "empty":
        buffer = io.BytesIO()
        tarfile.open(fileobj=buffer, mode="w:gz").close()
        archive = buffer.getvalue()
    with pytest.raises(DataError, match=told):
        served_cifar(server, archive)(tmp_path, download=True)
