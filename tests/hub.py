"""A server with the part of the Hugging Face Hub's protocol that publishing and loading need.

It keeps models and datasets in memory. The real clients create repositories, upload files (small ones in the
commit, others by LFS), list them and download them, with redirects and byte ranges.
"""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_tests"
REGULAR = (".json", ".md", ".txt")  # committed with their content; all others go by LFS


class Repository:
    """One model or dataset: its files now, and at every commit that was requested."""

    def __init__(self, private: bool):
        self.private = private
        self.files: dict[str, bytes] = {}
        self.commits: dict[str, dict[str, bytes]] = {}

    def at(self, revision: str) -> dict[str, bytes]:
        """Return the files of the branch or of a commit; none for an unknown revision."""
        return self.files if revision == "main" else self.commits.get(revision, {})

    @property
    def sha(self) -> str:
        names = sorted((path, hashlib.sha256(content).hexdigest()) for path, content in self.files.items())
        sha = hashlib.sha1(repr(names).encode()).hexdigest()
        self.commits[sha] = dict(self.files)
        return sha

    def entries(self, folder: str = "", recursive: bool = True) -> list[dict]:
        inside = [path for path in self.files if PurePosixPath(path).is_relative_to(folder)]
        if not recursive:
            inside = [path for path in inside if PurePosixPath(path).parent == PurePosixPath(folder)]
        parents = {str(parent) for path in self.files for parent in PurePosixPath(path).parents} - {
            ".",
            folder,
        }
        folders = [path for path in parents if PurePosixPath(path).is_relative_to(folder)]
        return [_entry(path, self.files[path]) for path in sorted(inside)] + [
            {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
            for path in sorted(folders)
            if recursive or PurePosixPath(path).parent == PurePosixPath(folder)
        ]


class Hub:
    """The server; a process with the variables of `environment(home)` uses it as the hub."""

    def __init__(self):
        self.repositories: dict[str, Repository] = {}  # "models/you/name", "datasets/you/name"
        self.uploads: dict[str, bytes] = {}  # LFS content by SHA-256
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                hub.answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def environment(self, home: Path, token: str = TOKEN) -> dict[str, str]:
        settings = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        return settings | {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN": token}

    def adopt(self, monkeypatch, token: str = TOKEN) -> None:
        """Make this process, which has already read its environment, use this server."""
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", self.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", token)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        status, headers, content = self.route(request, urlsplit(unquote(request.path)), body)
        if status == 200 and (asked := request.headers.get("Range")):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            end = min(int(last) + 1 if last else len(content), len(content))
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(content)}"
            status, content = 206, content[int(first) : end]
        request.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    def route(self, request, url, body: bytes) -> tuple[int, dict[str, str], bytes]:
        known = request.headers.get("Authorization") == f"Bearer {TOKEN}"
        parts = url.path.strip("/").split("/")
        match request.command, parts:
            case "GET" | "HEAD", ["cdn", oid]:
                return 200, {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"}, self.uploads[oid]
            case "PUT", ["lfs", oid]:
                whole = hashlib.sha256(body).hexdigest() == oid
                self.uploads |= {oid: body} if whole else {}
                return 200 if whole else 400, {}, b""
            case "POST", ["api", "validate-yaml"]:
                return _json({"errors": [], "warnings": []})
            case "POST", _ if not known:
                return _json({"error": "Invalid username or password."}, 401)
            case "POST", ["api", "repos", "create"]:
                return self.create(json.loads(body))
            case "POST", [*_, "info", "lfs", "objects", "batch"]:
                return self.batch(json.loads(body))
            case _, ["api", ("models" | "datasets") as kind, owner, name, *rest]:
                return self.api(
                    self.find(kind, owner, name, known), f"{kind}/{owner}/{name}", rest, url, body
                )
            case "GET" | "HEAD", ["datasets", owner, name, "resolve", revision, *path]:
                return self.resolve(self.find("datasets", owner, name, known), revision, "/".join(path))
            case "GET" | "HEAD", [owner, name, "resolve", revision, *path]:
                return self.resolve(self.find("models", owner, name, known), revision, "/".join(path))
        return _json({"error": f"no {url.path} here"}, 404)

    def find(self, kind: str, owner: str, name: str, known: bool) -> Repository | None:
        repository = self.repositories.get(f"{kind}/{owner}/{name}")
        return repository if repository and (known or not repository.private) else None

    def create(self, wish: dict) -> tuple[int, dict[str, str], bytes]:
        kind, place = wish.get("type") or "model", f"{wish['organization']}/{wish['name']}"
        url = f"{self.url}/{'datasets/' if kind == 'dataset' else ''}{place}"
        private = wish.get("visibility") == "private" or wish.get("private", False)
        if wish["organization"] != "you":
            return _json({"error": f"You don't have the rights to create a model under {place}"}, 403)
        there = f"{kind}s/{place}" in self.repositories
        self.repositories.setdefault(f"{kind}s/{place}", Repository(private))
        return _json({"url": url, "id": place}, 409 if there else 200)

    def batch(self, wish: dict) -> tuple[int, dict[str, str], bytes]:
        upload = [
            {**each, "actions": {"upload": {"href": f"{self.url}/lfs/{each['oid']}"}}}
            for each in wish["objects"]
        ]
        return _json({"transfer": "basic", "objects": upload})

    def api(self, repository: Repository | None, place: str, rest: list[str], url, body: bytes):
        if repository is None:
            return _json({"error": "Repository not found"}, 401, {"X-Error-Code": "RepoNotFound"})
        query = parse_qs(url.query)
        match rest:
            case [] | ["revision", _]:
                names = [{"rfilename": path} for path in repository.files]
                facts = {"id": place.partition("/")[2], "sha": repository.sha, "private": repository.private}
                return _json(facts | {"siblings": names, "tags": [], "gated": False, "disabled": False})
            case ["refs"]:
                branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.sha}
                return _json({"branches": [branch], "tags": [], "converts": []})
            case ["tree", _, *folder]:
                recursive = query.get("recursive", ["False"])[0].lower() in ("true", "1")
                entries = repository.entries("/".join(folder), recursive)
                if folder and not entries:
                    return _json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
                return _json(entries)
            case ["paths-info", _]:
                asked = parse_qs(body.decode())["paths"]
                every = {entry["path"]: entry for entry in repository.entries()}
                return _json([every[path] for path in asked if path in every])
            case ["preupload", _]:
                return _json({"files": [_mode(file["path"]) for file in json.loads(body)["files"]]})
            case ["commit", _]:
                self.commit(repository, body)
                return _json(
                    {"commitUrl": f"{self.url}/{place}", "commitOid": repository.sha, "success": True}
                )
        return _json({"error": f"no {url.path} here"}, 404)

    def commit(self, repository: Repository, body: bytes) -> None:
        for line in body.splitlines():
            step = json.loads(line)
            value = step["value"]
            match step["key"]:
                case "file":
                    repository.files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    repository.files[value["path"]] = self.uploads[value["oid"]]
                case "deletedFile":
                    del repository.files[value["path"]]

    def resolve(
        self, repository: Repository | None, revision: str, path: str
    ) -> tuple[int, dict[str, str], bytes]:
        if repository is None:
            return _json({"error": "Repository not found"}, 401, {"X-Error-Code": "RepoNotFound"})
        files = repository.at(revision)
        commit = {"X-Repo-Commit": revision if revision in repository.commits else repository.sha}
        if path not in files:
            return _json({"error": "Entry not found"}, 404, commit | {"X-Error-Code": "EntryNotFound"})
        content, entry = files[path], _entry(path, files[path])
        if "lfs" not in entry:
            return 200, commit | {"ETag": f'"{entry["oid"]}"', "Accept-Ranges": "bytes"}, content
        oid = entry["lfs"]["oid"]
        linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        elsewhere = (
            f"http://localhost:{self.server.server_port}/cdn/{oid}"  # another host, as the hub's CDN is
        )
        return 302, commit | linked | {"Location": elsewhere}, b""


def _entry(path: str, content: bytes) -> dict:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = {"type": "file", "path": path, "size": len(content), "oid": blob}
    if not path.endswith(REGULAR):
        sha256 = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
    return entry


def _mode(path: str) -> dict:
    mode = "regular" if path.endswith(REGULAR) else "lfs"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False}


def _json(content, status: int = 200, headers: dict[str, str] | None = None):
    return status, {"Content-Type": "application/json"} | (headers or {}), json.dumps(content).encode()
