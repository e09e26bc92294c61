"""Download the corpora that are published for everyone, each into a folder of its own.

    python -m data_prep download ravdess tess --to corpora

The same command continues an interrupted download; a corpus that is already there is left alone. The folder
of a corpus appears only when every file has arrived, is checked and unpacked. Files are checked against the
sizes and checksums that their publisher states; EMO-DB, EMOVO, ASED, TurEV-DB, BanglaSER, EmoV-DB and
CREMA-D's tables state none, so of their archives only the checksums inside are checked.
"""

import argparse
import errno
import gzip
import hashlib
import io
import os
import re
import shutil
import tarfile
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

from data_prep.corpora import CORPORA

ZENODO = "https://zenodo.org"
BOREALIS = "https://borealisdata.ca"
OPENSLR = "https://www.openslr.org/resources/115"
EMO_DB = "http://emodb.bilderbar.info/download/download.zip"
EMOVO = "https://drive.usercontent.google.com/download?id=1SUtaKeA-LYnKaD3qv87Y5wYgihJiNJAo&confirm=t"
BANGLASER = "https://prod-dcd-datasets-cache-zipfiles.s3.eu-west-1.amazonaws.com/t9h6p943xy-5.zip"
ASED = "https://github.com/Ethio2021/ASED_V1/archive/HEAD.tar.gz"
TUREV_DB = "https://github.com/Xeonen/TurEV-DB/archive/HEAD.tar.gz"
GITHUB_ARCHIVE = "https://codeload.github.com/CheyneyComputerScience/CREMA-D/tar.gz/refs/heads/master"
GITHUB_RAW = "https://raw.githubusercontent.com/CheyneyComputerScience/CREMA-D/master"
GITHUB_MEDIA = "https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master"

ARCHIVES = (".zip", ".tar.gz")
CREMA_D_TABLES = (
    "SentenceFilenames.csv",
    "VideoDemographics.csv",
    "processedResults/summaryTable.csv",
    "processedResults/tabulatedVotes.csv",
)
LFS_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\noid (sha256:\w{64})\nsize (\d+)\n")

WAITS = (1, 2, 4, 8)  # seconds before a failed request is repeated; a byte that arrives resets the count
TIMEOUT = 30  # seconds without a byte
WORKERS = 8  # files at once
CHUNK = 1 << 18  # bytes


class DownloadError(ValueError):
    """Raised where a corpus cannot be downloaded; the message is a sentence with the reason."""


@dataclass(frozen=True)
class File:
    """One published file, and how to check that it arrived whole.

    Attributes:
        url: its address.
        path: its place in the corpus's folder. An archive is unpacked into a folder of its name.
        size: in bytes; None where the publisher states none.
        checksum: `md5:...` or `sha256:...`; None where the publisher states none. The CRC inside an archive
            is checked in any case, when it is unpacked.
    """

    url: str
    path: str
    size: int | None = None
    checksum: str | None = None


def ravdess() -> list[File]:
    """Return the speech and song of Zenodo's record 1188976, with the sizes and MD5 of its file table."""
    return [
        File(f"{ZENODO}/records/1188976/files/{name}?download=1", name, size, f"md5:{md5}")
        for name, size, md5 in (
            ("Audio_Speech_Actors_01-24.zip", 208_468_073, "bc696df654c87fed845eb13823edef8a"),
            ("Audio_Song_Actors_01-24.zip", 225_505_317, "5411230427d67a21e18aa4d466e6d1b9"),
        )
    ]


def asvp_esd() -> list[File]:
    """Return the archives of Zenodo's record 7132783, with the sizes and MD5 that Zenodo states."""
    files = _get(f"{ZENODO}/api/records/7132783").json()["files"]
    return [
        File(file["links"]["self"], file["key"], file["size"], file["checksum"])
        for file in files
        if file["key"].endswith(ARCHIVES)
    ]


def tess() -> list[File]:
    """Return the recordings on Borealis, with the sizes and MD5 that it states; its zip of all has none."""
    listing = _get(f"{BOREALIS}/api/datasets/:persistentId/?persistentId=doi:10.5683/SP2/E8H2MF").json()
    return [
        File(
            f"{BOREALIS}/api/access/datafile/{file['dataFile']['id']}",
            str(PurePosixPath(file.get("directoryLabel", ""), file["label"])),
            file["dataFile"]["filesize"],
            f"md5:{file['dataFile']['md5']}",
        )
        for file in listing["data"]["latestVersion"]["files"]
        if file["label"].lower().endswith((".wav", *ARCHIVES))
    ]


def emov_db() -> list[File]:
    """Return the archives of OpenSLR 115, which publishes neither sizes nor checksums."""
    styles = {
        "bea": ("Amused", "Angry", "Disgusted", "Neutral", "Sleepy"),
        "jenie": ("Amused", "Angry", "Disgusted", "Neutral", "Sleepy"),
        "josh": ("Amused", "Neutral", "Sleepy"),
        "sam": ("Amused", "Angry", "Disgusted", "Neutral", "Sleepy"),
    }
    names = [f"{speaker}_{style}.tar.gz" for speaker, each in styles.items() for style in each]
    return [File(f"{OPENSLR}/{name}", name) for name in names]


def crema_d() -> list[File]:
    """Return the tables, which have no checksums, and the recordings, which are in Git LFS.

    The recordings' sizes and SHA-256 are those of the pointers in GitHub's copy of the repository.
    """
    recordings = []
    with tarfile.open(fileobj=io.BytesIO(_get(GITHUB_ARCHIVE).content)) as repository:
        for member in repository:
            path = member.name.partition("/")[2]
            if path.startswith("AudioWAV/") and member.isfile():
                pointer = LFS_POINTER.fullmatch(repository.extractfile(member).read())
                recordings.append(File(f"{GITHUB_MEDIA}/{path}", path, int(pointer[2]), pointer[1].decode()))
    return [File(f"{GITHUB_RAW}/{path}", path) for path in CREMA_D_TABLES] + recordings


SOURCES: dict[str, Callable[[], list[File]]] = {
    "ravdess": ravdess,
    "crema_d": crema_d,
    "tess": tess,
    "emov_db": emov_db,
    "asvp_esd": asvp_esd,
    "emo_db": lambda: [File(EMO_DB, "emo_db.zip")],
    "emovo": lambda: [File(EMOVO, "emovo.zip")],
    "banglaser": lambda: [File(BANGLASER, "banglaser.zip")],
    "ased": lambda: [File(ASED, "ased.tar.gz")],
    "turev_db": lambda: [File(TUREV_DB, "turev_db.tar.gz")],
}
BY_HAND = {
    "savee": "SAVEE is given to people who register: do so at {homepage} and unpack it in {folder}.",
    "eyase": "EYASE has no public address: ask its author (see {homepage}) and unpack it in {folder}.",
    "banglaser_ext": "BanglaSER's extension has no public address that we know of; unpack it in {folder}.",
}


def main(argv: list[str]) -> None:
    """Run the command line; a corpus that cannot be downloaded does not stop the others."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep download",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpora", nargs="+", choices=CORPORA, metavar="CORPUS", help=", ".join(CORPORA))
    parser.add_argument("--to", type=Path, default=Path("corpora"), help="folder that holds the corpora")
    args = parser.parse_args(argv)
    failures = []
    for name in args.corpora:
        try:
            download(name, args.to)
        except DownloadError as error:
            failures.append(str(error))
        except KeyboardInterrupt:
            raise SystemExit("Stopped. What has arrived is kept; the same command continues.") from None
    if failures:
        raise SystemExit("\n".join(failures))


def download(name: str, to: Path) -> Path:
    """Download a corpus, or continue an interrupted download.

    Args:
        name: a key of `CORPORA`.
        to: the folder that holds the corpora.

    Returns:
        The corpus's folder.

    Raises:
        DownloadError: it must be requested by hand, its server refuses it, what arrived is not what was
            published, or the disk is full. Files that arrived whole are kept for the next call.
    """
    corpus = CORPORA[name]
    folder = to / corpus.NAME
    if folder.exists():
        print(f"{corpus.NAME}: {folder} is there already.")
        return folder
    if name in BY_HAND:
        raise DownloadError(BY_HAND[name].format(homepage=corpus.HOMEPAGE, folder=folder))
    print(f"{corpus.NAME} ({corpus.LICENSE}), {corpus.HOMEPAGE}")
    try:
        scratch = to / f".{corpus.NAME}"  # next to the folder, so that renaming it is one step
        scratch.mkdir(parents=True, exist_ok=True)
        fetch_all(list_files(name), scratch)
        scratch.rename(folder)
    except OSError as error:
        raise DownloadError(f"{corpus.NAME} cannot be written to {to}: {error.strerror}.") from error
    print(f"{corpus.NAME}: {folder}")
    return folder


def list_files(name: str) -> list[File]:
    """Return the files of a corpus, which some servers list on request.

    Raises:
        DownloadError: the list cannot be read.
    """
    try:
        return SOURCES[name]()
    except (requests.RequestException, tarfile.TarError, EOFError, KeyError, TypeError, ValueError) as error:
        raise DownloadError(
            f"{CORPORA[name].NAME}: its list of files cannot be read ({_reason(error)}). "
            f"Try again later, or look at {CORPORA[name].HOMEPAGE}."
        ) from error


def fetch_all(files: list[File], folder: Path) -> None:
    """Download, check and unpack files, several at once."""
    for file in files:
        _refuse_escape(file.path)
    missing = [file for file in files if not _place(file, folder).exists()]
    sizes = [file.size for file in missing]
    if sum(size or 0 for size in sizes) > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    stop = threading.Event()
    with (
        tqdm(
            total=None if None in sizes else sum(sizes),
            initial=sum(_size(folder / f"{file.path}.part") for file in missing),
            unit="B",
            unit_scale=True,
        ) as bar,
        requests.Session() as session,
        ThreadPoolExecutor(WORKERS) as pool,
    ):
        session.headers["Accept-Encoding"] = "identity"  # else the bytes are not the published ones
        running = [pool.submit(fetch, file, folder, session, bar, stop) for file in missing]
        try:
            for future in as_completed(running):
                future.result()
        except BaseException:  # KeyboardInterrupt, too
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def fetch(file: File, folder: Path, session: requests.Session, bar: tqdm, stop: threading.Event) -> None:
    """Download one file to a temporary name, check it, and move it, or what it holds, to its place.

    Raises:
        DownloadError: the server refuses it, or it is not what was published.
    """
    part = folder / f"{file.path}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while not stop.is_set():
        size = _size(part)
        try:
            _receive(file, part, session, bar, stop)
            break
        except requests.RequestException as error:
            failures = 0 if _size(part) > size else failures + 1
            if failures > len(WAITS):
                raise DownloadError(
                    f"{urlsplit(file.url).netloc} does not deliver {file.path} ({_reason(error)}). "
                    "What has arrived is kept; try again later."
                ) from error
            time.sleep(WAITS[max(failures - 1, 0)])
    if not stop.is_set():
        _check(file, part)
        _put(part, _place(file, folder))


def _receive(file: File, part: Path, session: requests.Session, bar: tqdm, stop: threading.Event) -> None:
    have, tag = _size(part), part.with_name(f"{part.name}.etag")
    if have and have == file.size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and tag.exists():
        headers["If-Range"] = tag.read_text()
    with session.get(file.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # the file ends where ours does, or has changed
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink()
        if 400 <= response.status_code < 500 and response.status_code not in (408, 416, 429):
            raise DownloadError(f"{file.url} is refused: {response.status_code} {response.reason}.")
        response.raise_for_status()
        goes_on = response.status_code == 206
        if (etag := response.headers.get("ETag", "W/")).startswith("W/"):  # a weak one does not name bytes
            tag.unlink(missing_ok=True)
        else:
            tag.write_text(etag)
        bar.update(0 if goes_on else -have)
        with part.open("ab" if goes_on else "wb") as output:
            for chunk in response.iter_content(CHUNK):
                output.write(chunk)
                bar.update(len(chunk))
                if stop.is_set():
                    return


def _check(file: File, part: Path) -> None:
    wrong = None
    if file.size not in (None, size := _size(part)):
        wrong = f"has {size:,} bytes, not {file.size:,}"
    elif file.checksum:
        algorithm, _, published = file.checksum.partition(":")
        with part.open("rb") as content:
            found = hashlib.file_digest(content, algorithm).hexdigest()
        if found != published:
            wrong = f"has the {algorithm} {found}, not {published}"
    if wrong:
        part.unlink()
        raise DownloadError(f"{file.url} {wrong} as published. It was deleted; try again.")


def _put(part: Path, place: Path) -> None:
    part.with_name(f"{part.name}.etag").unlink(missing_ok=True)
    if not part.name.endswith(tuple(f"{suffix}.part" for suffix in ARCHIVES)):
        part.rename(place)
        return
    with tempfile.TemporaryDirectory(dir=part.parent, prefix=".unpacking-") as scratch:
        try:
            _unpack(part, Path(scratch, "content"))
        except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            part.unlink()
            raise DownloadError(
                f"{place.name} cannot be unpacked ({error}). It was deleted; try again."
            ) from error
        Path(scratch, "content").rename(place)
    part.unlink()


def _unpack(path: Path, folder: Path) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                _refuse_escape(name)
            archive.extractall(folder)
    else:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")


def _place(file: File, folder: Path) -> Path:
    suffix = next((suffix for suffix in ARCHIVES if file.path.endswith(suffix)), "")
    return folder / file.path.removesuffix(suffix)


def _refuse_escape(path: str) -> None:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise DownloadError(f"The archive would write outside its folder, to {path!r}, so it is refused.")


def _get(url: str) -> requests.Response:
    with requests.Session() as session:
        again = Retry(len(WAITS), backoff_factor=WAITS[0], status_forcelist=(429, 500, 502, 503, 504))
        session.mount("http", HTTPAdapter(max_retries=again))  # https, too
        response = session.get(url, headers={"Accept-Encoding": "identity"}, timeout=TIMEOUT)
    response.raise_for_status()
    return response


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError):
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer in {TIMEOUT} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection breaks off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return "it has an unexpected form"
