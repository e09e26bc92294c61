import hashlib
import io
import json
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import soundfile
from conftest import voice, write_wav

from data_prep import download
from data_prep.build import find_clips
from data_prep.corpora import CORPORA
from data_prep.download import File, fetch_all
from data_prep.download import main as run

BODY = bytes(range(256)) * 4096  # 1 MiB


class Archive:
    """A web server that gives `files` and fails in the ways that are asked of it."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []  # path and Range
        self.drop_after: list[int] = []  # bytes, one for each answer to come
        self.statuses: list[int] = []  # likewise
        self.honours_range = True
        self.etag = '"one"'
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                archive.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.requests.append((request.path, asked))
        body = self.files.get(request.path.partition("?")[0])
        status = self.statuses.pop(0) if self.statuses else 404 if body is None else 200
        headers, body = {"ETag": self.etag}, body or b""
        unchanged = request.headers.get("If-Range", self.etag) == self.etag
        if status == 200 and asked and self.honours_range and unchanged:
            start, total = int(asked.removeprefix("bytes=").removesuffix("-")), len(body)
            status, body = (206, body[start:]) if start < total else (416, b"")
            headers["Content-Range"] = f"bytes {start}-/{total}" if status == 206 else f"bytes */{total}"
        request.send_response(status)
        for name, value in (headers | {"Content-Length": len(body)}).items():
            request.send_header(name, str(value))
        request.end_headers()
        if status in (200, 206) and self.drop_after:
            request.wfile.write(body[: self.drop_after.pop(0)])
            request.close_connection = True  # in the middle of the body
        else:
            request.wfile.write(body)


@pytest.fixture
def archive(monkeypatch):
    monkeypatch.setattr(download, "WAITS", (0, 0))
    archive = Archive()
    yield archive
    archive.server.shutdown()
    archive.server.server_close()


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def wav(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, voice(seconds=0.5, seed=seed), 16_000, format="WAV")
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def big(archive):
    archive.files["/big.bin"] = BODY
    return File(f"{archive.url}/big.bin", "a/big.bin", len(BODY), md5(BODY))


def test_a_dropped_connection_resumes_where_it_stopped(archive, big, tmp_path):
    archive.drop_after = [300_000, 300_000]
    fetch_all([big], tmp_path)
    assert (tmp_path / "a" / "big.bin").read_bytes() == BODY
    starts = [
        int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0 for _, asked in archive.requests
    ]
    assert len(starts) == 3
    assert 0 == starts[0] < starts[1] < starts[2]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "big.bin"]


def test_a_second_call_resumes_the_download_of_the_first(archive, big, tmp_path):
    archive.drop_after = [300_000, 0, 0, 0]
    with pytest.raises(
        download.DownloadError, match=r"does not deliver a/big.bin \(.*\). What has arrived is kept"
    ):
        fetch_all([big], tmp_path)
    left = (tmp_path / "a" / "big.bin.part").stat().st_size
    assert left > 0
    archive.requests.clear()
    fetch_all([big], tmp_path)
    assert archive.requests == [("/big.bin", f"bytes={left}-")]
    assert (tmp_path / "a" / "big.bin").read_bytes() == BODY


def test_a_server_that_ignores_range_is_read_from_the_start(archive, big, tmp_path):
    archive.drop_after, archive.honours_range = [300_000], False
    fetch_all([big], tmp_path)
    assert (tmp_path / "a" / "big.bin").read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_not_spliced(archive, tmp_path):
    archive.files["/x"] = BODY
    archive.drop_after = [300_000, 0, 0, 0]
    with pytest.raises(download.DownloadError):
        fetch_all([File(f"{archive.url}/x", "x")], tmp_path)
    archive.files["/x"], archive.etag = BODY[::-1], '"two"'
    fetch_all([File(f"{archive.url}/x", "x")], tmp_path)
    assert (tmp_path / "x").read_bytes() == BODY[::-1]


def test_a_part_that_is_whole_already_is_taken(archive, tmp_path):
    archive.files["/x"] = BODY
    (tmp_path / "x.part").write_bytes(BODY)
    fetch_all([File(f"{archive.url}/x", "x")], tmp_path)
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_part_longer_than_the_file_is_thrown_away(archive, big, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "big.bin.part").write_bytes(BODY + b"more")
    fetch_all([big], tmp_path)
    assert (tmp_path / "a" / "big.bin").read_bytes() == BODY


def test_wrong_bytes_are_deleted_and_named(archive, big, tmp_path):
    archive.files["/big.bin"] = BODY[::-1]
    with pytest.raises(download.DownloadError, match=r"has the md5 .* as published. It was deleted"):
        fetch_all([big], tmp_path)
    archive.files["/big.bin"] = BODY[:-1]
    with pytest.raises(download.DownloadError, match="has 1,048,575 bytes, not 1,048,576 as published"):
        fetch_all([big], tmp_path)
    assert not [path for path in tmp_path.rglob("*.*") if path.is_file() and not path.name.endswith(".etag")]


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(archive, big, tmp_path):
    archive.statuses = [503, 429]
    fetch_all([big], tmp_path)
    assert len(archive.requests) == 3
    with pytest.raises(download.DownloadError, match="/gone is refused: 404 Not Found"):
        fetch_all([File(f"{archive.url}/gone", "gone")], tmp_path)
    assert len(archive.requests) == 4


def test_no_connection_is_a_sentence(archive, tmp_path):
    with pytest.raises(download.DownloadError, match=r"127.0.0.1:9 does not deliver x \(no connection\)"):
        fetch_all([File("http://127.0.0.1:9/x", "x")], tmp_path)


def test_a_full_disk_is_a_sentence(archive, tmp_path, monkeypatch):
    monkeypatch.setitem(download.SOURCES, "tess", lambda: [File(f"{archive.url}/x", "x", 10**18)])
    with pytest.raises(SystemExit, match=r"TESS cannot be written to .*: No space left on device"):
        run(["tess", "--to", str(tmp_path)])
    assert not archive.requests


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_whose_names_lead_out_is_refused(pack, archive, tmp_path):
    suffix = "zip" if pack is zipped else "tar.gz"
    archive.files["/evil"] = pack({"good.wav": b"1", "../../evil.wav": b"2"})
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    with pytest.raises(download.DownloadError, match=r"outside"):
        fetch_all([File(f"{archive.url}/evil", f"evil.{suffix}")], folder)
    assert not list(tmp_path.rglob("*.wav"))


def test_a_damaged_archive_without_checksum_is_noticed(archive, tmp_path):
    archive.files["/x"] = tarred({"a.wav": bytes(100_000)})[:-20]
    with pytest.raises(download.DownloadError, match="x cannot be unpacked"):
        fetch_all([File(f"{archive.url}/x", "x.tar.gz")], tmp_path)
    assert not list(tmp_path.rglob("*.wav"))
    archive.files["/x"] = tarred({"a.wav": bytes(100_000)})
    fetch_all([File(f"{archive.url}/x", "x.tar.gz")], tmp_path)
    assert (tmp_path / "x" / "a.wav").stat().st_size == 100_000


def test_a_path_from_a_listing_does_not_lead_out(archive, tmp_path):
    with pytest.raises(download.DownloadError, match="outside"):
        fetch_all([File(f"{archive.url}/x", "../x.wav")], tmp_path)


def test_each_corpus_becomes_a_folder_that_the_build_recognises(archive, tmp_path, monkeypatch, capsys):
    sound = wav()
    speech = zipped({"Actor_01/03-01-01-01-01-01-01.wav": sound})
    song = zipped({"Actor_01/03-02-01-01-01-01-01.wav": sound})
    esd = zipped({"ASVP/actor_12/03-02-11-02-02-12-02-01-01-16.wav": sound})
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(sound).hexdigest()}\nsize {len(sound)}\n"
    archive.files = {
        "/speech.zip": speech,
        "/song.zip": song,
        "/esd.zip": esd,
        "/api/records/7132783": json.dumps(
            {"files": [
                {"key": "ASVP.zip", "size": len(esd), "checksum": md5(esd), "links": {"self": f"{archive.url}/esd.zip"}},
                {"key": "paper.pdf", "size": 9, "checksum": "md5:0", "links": {"self": f"{archive.url}/pdf"}},
            ]}
        ).encode(),
        "/api/datasets/:persistentId/": json.dumps(
            {"data": {"latestVersion": {"files": [
                {"label": "OAF_back_angry.wav", "dataFile": {"id": 7, "filesize": len(sound), "md5": md5(sound)[4:]}},
                {"label": "Readme.txt", "dataFile": {"id": 8, "filesize": 1, "md5": "0"}},
            ]}}}
        ).encode(),
        "/api/access/datafile/7": sound,
        "/crema.tar.gz": tarred({"CREMA-D-master/AudioWAV/1001_IEO_ANG_HI.wav": pointer.encode(),
                                 "CREMA-D-master/AudioMP3/1001_IEO_ANG_HI.mp3": pointer.encode()}),
        "/media/AudioWAV/1001_IEO_ANG_HI.wav": sound,
        **{f"/raw/{table}": b"" for table in download.CREMA_D_TABLES},
        "/raw/VideoDemographics.csv": b'"ActorID","Age","Sex"\n1001,51,"Male"\n',
        **{f"/{speaker}_{style}.tar.gz": tarred({"amused_1-15_0001.wav": sound, "neutral_1-28_0001.wav": sound})
           for speaker in ("bea", "jenie", "josh", "sam")
           for style in ("Amused", "Angry", "Disgusted", "Neutral", "Sleepy")},
    }  # fmt: skip
    monkeypatch.setitem(
        download.SOURCES,
        "ravdess",
        lambda: [File(f"{archive.url}/{name}", name, len(body), md5(body)) for name, body in (("speech.zip", speech), ("song.zip", song))],
    )  # fmt: skip
    for constant in ("ZENODO", "BOREALIS", "OPENSLR"):
        monkeypatch.setattr(download, constant, archive.url)
    monkeypatch.setattr(download, "GITHUB_ARCHIVE", f"{archive.url}/crema.tar.gz")
    monkeypatch.setattr(download, "GITHUB_MEDIA", f"{archive.url}/media")
    monkeypatch.setattr(download, "GITHUB_RAW", f"{archive.url}/raw")
    whole = {
        "EMO_DB": zipped({"wav/03a01Fa.wav": sound}),
        "EMOVO": zipped({"EMOVO/f1/gio-f1-b1.wav": sound}),
        "BANGLASER": zipped({"BanglaSER/Actor 33/03-01-03-02-03-02-33.wav": sound}),
        "ASED": tarred({"ASED_V1-main/05Angry/a5-01-02-01-37.wav": sound}),
        "TUREV_DB": tarred({"TurEV-DB-master/Sound Source/Sad/1157_hl_acik.wav": sound}),
    }
    for constant, body in whole.items():
        archive.files[f"/{constant}"] = body
        monkeypatch.setattr(download, constant, f"{archive.url}/{constant}")
    corpora = [name for name in CORPORA if name not in download.BY_HAND]
    with pytest.raises(
        SystemExit, match=r"(?s)register: do so at http://kahlan.*EYASE has no public address"
    ):
        run(["savee", *corpora, "eyase", "--to", str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CORPORA[name].NAME for name in corpora)
    clips, skipped = find_clips(tmp_path)
    assert {clip.corpus for clip in clips} == set(corpora)
    assert {clip.channel for clip in clips if clip.corpus == "ravdess"} == {"speech", "song"}
    assert {clip.speaker for clip in clips if clip.corpus == "emov_db"} == {
        f"emov_db-{name}" for name in ("bea", "jenie", "josh", "sam")
    }
    assert next(clip.age for clip in clips if clip.corpus == "crema_d") == 51
    assert all("same utterance" in skip.reason for skip in skipped)
    archive.requests.clear()
    run([*corpora, "--to", str(tmp_path)])
    assert not archive.requests
    assert capsys.readouterr().out.count("is there already") == 10


def test_every_corpus_has_an_address_or_says_how_to_get_it():
    assert set(CORPORA) == set(download.SOURCES) | set(download.BY_HAND)
    assert not set(download.SOURCES) & set(download.BY_HAND)


def test_a_listing_that_is_none_is_a_sentence(archive, tmp_path, monkeypatch):
    for constant in ("ZENODO", "BOREALIS"):
        monkeypatch.setattr(download, constant, archive.url)
    archive.files["/api/records/7132783"] = b"<html>maintenance</html>"
    with pytest.raises(
        SystemExit,
        match=r"(?s)ASVP-ESD: its list .* form.*TESS: its list of files cannot be read \(404 Not Found\)",
    ):
        run(["asvp_esd", "tess", "--to", str(tmp_path)])


def test_ctrl_c_is_a_sentence_and_keeps_what_arrived(archive, big, tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    archive.drop_after = [300_000]
    monkeypatch.setitem(download.SOURCES, "tess", lambda: [big])
    monkeypatch.setattr(download, "as_completed", interrupt)
    with pytest.raises(SystemExit, match="the same command continues"):
        run(["tess", "--to", str(tmp_path)])
    monkeypatch.undo()
    monkeypatch.setitem(download.SOURCES, "tess", lambda: [big])
    run(["tess", "--to", str(tmp_path)])
    assert (tmp_path / "TESS" / "a" / "big.bin").read_bytes() == BODY


def test_a_download_under_way_is_not_read_by_the_build(tmp_path):
    write_wav(tmp_path / ".RAVDESS" / "Actor_01" / "03-01-01-01-01-01-01.wav", voice())
    assert find_clips(tmp_path) == ([], [])


def test_the_real_sources_are_as_documented():
    assert [file.path for file in download.ravdess()] == [
        "Audio_Speech_Actors_01-24.zip",
        "Audio_Song_Actors_01-24.zip",
    ]
    assert len(download.emov_db()) == 18
