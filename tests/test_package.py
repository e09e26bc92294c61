"""What `pip install` gives a user: exact pins that agree, a complete wheel, imports that change nothing."""

import re
import shlex
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
from conftest import ROOT, speak, write_wav
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import data_prep.__main__
import distill
from speech_emotion.training.arguments import parse_arguments

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]


def pins(file: str) -> dict[str, Requirement]:
    lines = [line for line in (ROOT / file).read_text().splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(each.name): each for each in map(Requirement, lines)}


def wishes(*extras: str) -> list[Requirement]:
    listed = [*PROJECT["dependencies"]]
    for extra in extras:
        listed += PROJECT["optional-dependencies"][extra]
    return [each for each in map(Requirement, listed) if each.name != PROJECT["name"]]


def test_a_space_installs_the_versions_of_the_lock():
    lock, space = pins("requirements.lock"), pins("requirements.txt")
    assert {name: lock[name].specifier for name in space} == {
        name: each.specifier for name, each in space.items()
    }
    assert all(re.fullmatch(r"==[\w.]+", str(each.specifier)) for each in lock.values())


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("requirements.txt", wishes("app")),
        ("requirements.lock", [*wishes(*PROJECT["optional-dependencies"]), *map(Requirement, GROUPS["dev"])]),
    ],
)
def test_every_pin_lies_in_the_range_of_the_project(file, wanted):
    found = pins(file)
    for wish in wanted:
        [version] = [each.version for each in found[canonicalize_name(wish.name)].specifier]
        assert wish.specifier.contains(version), wish


def test_torch_and_torchaudio_belong_together():
    lock = pins("requirements.lock")
    assert lock["torch"].specifier == lock["torchaudio"].specifier


def test_no_host_of_a_registry_is_written_down():
    for file in ("pyproject.toml", "requirements.txt", "requirements.lock"):
        assert "://" not in (ROOT / file).read_text(), file


IMPORT = """
import getpass, os, tempfile
before = os.listdir(tempfile.gettempdir())
import torch
threads = torch.get_num_threads()
import gradio.route_utils
parse = gradio.route_utils.GradioMultiPartParser.on_part_data
import speech_emotion, speech_emotion.cli, speech_emotion.inference.timeline, speech_emotion.evaluation.report
import speech_emotion.ui.middleware, speech_emotion.ui.examples, speech_emotion.ui.render
assert torch.get_num_threads() == threads
assert gradio.route_utils.GradioMultiPartParser.on_part_data is parse
new = set(os.listdir(tempfile.gettempdir())) - set(before) - {f"torchinductor_{getpass.getuser()}"}  # torch's own
assert not new, new
import av, io
with av.open(io.BytesIO(), "w", format="rawvideo") as container:  # FFmpeg may ask for 50 MB at once
    stream = container.add_stream("rawvideo", rate=1)
    stream.width = stream.height = 4096
    stream.pix_fmt = "rgb24"
    stream.encode(av.VideoFrame(4096, 4096, "rgb24"))
"""


@pytest.mark.slow
def test_importing_changes_nothing_in_the_host_process(tmp_path):
    run([sys.executable, "-c", IMPORT], cwd=ROOT, env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"})


def test_the_package_itself_imports_no_torch():
    code = "import sys, speech_emotion, speech_emotion.cli; assert not {'torch', 'transformers'} & set(sys.modules)"
    run([sys.executable, "-c", code], cwd=ROOT)


def run(command: list, **options) -> subprocess.CompletedProcess:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-4000:])
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """An environment with the wheel and the heavy packages of this one; returns its folder of programs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    run(build, cwd=folder)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / "bin"
    run([programs / "python", "-m", "pip", "install", "--quiet", "--no-deps", wheel])
    [packages] = (folder / "env" / "lib").glob("python*/site-packages")
    # A .pth file adds this environment's packages after the wheel's own, without a download of gigabytes.
    (packages / "heavy.pth").write_text(sysconfig.get_path("purelib"))
    return programs


def examples(document: str, language: str) -> list[str]:
    """List the fenced examples of a document in a language; shell commands one by one, continued lines joined."""
    fences = re.split(r"^```(.*)\n", (ROOT / document).read_text(), flags=re.MULTILINE)
    blocks = [code for tag, code in zip(fences[1::4], fences[2::4], strict=True) if tag == language]
    if language:
        return blocks
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := line.partition(" #")[0].strip())]


@pytest.mark.parametrize("document", ["README.md", "docs/training.md", "docs/data.md"])
def test_every_command_of_the_documents_has_arguments_that_its_program_knows(document, monkeypatch):
    parsed = 0
    for command in examples(document, ""):
        for program, parse in PARSERS.items():
            if command.startswith(program):
                words = shlex.split(command)[len(program.split()) - program.count(" --") :]
                monkeypatch.setattr(sys, "argv", [program, *words])
                parse()
                parsed += 1
    assert parsed


PARSERS = {
    "accelerate launch train.py": lambda: parse_arguments(None),
    "python distill.py": distill.parse_args,
    "python -m data_prep --corpora": data_prep.__main__.parse_args,
}
DOCUMENTS = ("README.md", "models/wav2vec2/README.md", "models/cnn/README.md")
PYTHON = [(document, code) for document in DOCUMENTS for code in examples(document, "python")]
SHELL = [(document, command) for document in DOCUMENTS for command in examples(document, "")]
# What only a checkout, a GPU, hours or an account can run.
ELSEWHERE = (
    "make ",
    "MODEL_ID=",
    "accelerate launch ",
    "python distill.py ",
    "hf ",
    "python -m data_prep",
    "python -m speech_emotion.e",
)


@pytest.fixture
def desk(tmp_path) -> Path:
    """A folder with the files that the examples name."""
    write_wav(tmp_path / "clip.wav", speak(seconds=2))
    write_wav(tmp_path / "call.mp3", speak(seconds=4))
    write_wav(tmp_path / "recordings" / "one.wav", speak(200))
    for model in ("wav2vec2", "cnn"):
        (tmp_path / model).symlink_to(ROOT / "models" / model)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(("document", "code"), PYTHON, ids=lambda each: each.split("\n")[0][:30])
def test_every_python_example_runs_with_the_wheel_alone(document, code, installed, desk):
    done = run([installed / "python", "-c", code], cwd=desk)
    assert done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize(("document", "command"), SHELL)
def test_every_shell_example_runs_with_the_wheel_alone(document, command, installed, desk):
    if command.startswith(ELSEWHERE):
        pytest.skip("needs a checkout, hours or an account")
    program, *arguments = command.split()
    done = run([installed / program, *arguments], cwd=desk)
    assert done.stdout.strip() or (desk / arguments[-1]).read_text()
