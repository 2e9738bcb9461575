"""Make `.venv` ready: pinned dependencies, and an inference engine that is proved to work.

    python3 tools/bootstrap.py

Needs only Python 3.11+ and a C++ compiler. Runs in a blink when nothing has changed. The engine
(llama-cpp-python) comes as source and is built for this machine's processor. A build counts only
after it has decoded a token; good ones are kept in the user's cache folder under a name made of
everything that shaped them, so that the next clone need not build again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flavours import Flavour, Machine, choose_flavours

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".dmr-ready"
INPUTS = ("requirements.lock", "engine.lock", "pyproject.toml", "tools/bootstrap.py")

NO_COMPILER = """\
set-up needs a C++ compiler to build the inference engine, and none was found. Install one:
  Debian, Ubuntu   sudo apt-get install g++ cmake make
  Fedora           sudo dnf install gcc-c++ cmake make
  Arch             sudo pacman -S gcc cmake make
  macOS            xcode-select --install
then run the same command again."""

NO_VENV = """\
this Python cannot make virtual environments (module ensurepip is missing). Install it:
  Debian, Ubuntu   sudo apt-get install python3-venv
then run the same command again."""


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def main() -> int:
    """Bring `.venv` up to date; returns the exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - run by whatever python3 there is
        print(f"dmr needs Python 3.11 or newer; this is {platform.python_version()}.")
        return 1
    wanted = _fingerprint(*((ROOT / name).read_bytes() for name in INPUTS), sys.version.encode())
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return 0
    started = time.monotonic()
    try:
        flavours = choose_flavours(Machine.here())
        if not flavours and not PYTHON.exists():
            raise SetupError(NO_COMPILER)  # before minutes are spent on anything else
        _make_venv()
        _say("installing pinned packages")
        _pip("install", "--require-hashes", "--no-deps", "-r", "requirements.lock")
        _install_engine(flavours)
        _pip("install", "--no-deps", "--no-build-isolation", "--editable", ".")
    except SetupError as error:
        print(f"\nset-up stopped: {error}", file=sys.stderr)
        return 1
    STAMP.write_text(wanted)
    _say(f"ready after {time.monotonic() - started:.0f} s")
    return 0


def _make_venv() -> None:
    if PYTHON.exists():
        same = _output(str(PYTHON), "-c", "import sys; print(sys.version)") == sys.version
        if same:
            return
    _say("making .venv")
    if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True).returncode:
        raise SetupError(NO_VENV)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)


def _install_engine(flavours: list[Flavour]) -> None:
    """Install the first flavour of the engine that decodes a token."""
    if not _self_test():
        return
    if not flavours:
        raise SetupError(NO_COMPILER)
    for flavour in flavours:
        kept = _cache() / _fingerprint(
            (ROOT / "engine.lock").read_bytes(), flavour.key.encode(), sys.version.encode()
        )
        wheels = sorted(kept.glob("*.whl"))
        if wheels:
            _say("using the engine built earlier for this machine")
            _install_wheel(wheels[0])
            if not _self_test():
                return
            shutil.rmtree(kept)
        with tempfile.TemporaryDirectory() as folder:
            wheel = _build(flavour, Path(folder))
            if wheel is None:
                continue
            _install_wheel(wheel)
            failure = _self_test()
            if not failure:
                kept.mkdir(parents=True, exist_ok=True)
                shutil.copy2(wheel, kept)
                return
            _say(f"the {flavour.name} build does not work here ({failure}); trying another")
    raise SetupError("no build of the inference engine works on this machine")


def _build(flavour: Flavour, folder: Path) -> Path | None:
    """Build one flavour's wheel; None, with the log's end shown, when the build fails."""
    _say(f"building the inference engine ({flavour.name}): about 4 minutes on 2 cores")
    log = folder / "build.log"
    # pip's own wheel cache is keyed by version only: it would bring back a build that crashes.
    command = [str(PYTHON), "-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--require-hashes"]
    command += ["--no-binary", ":all:", "--wheel-dir", str(folder), "-r", "engine.lock"]
    environment = {
        **os.environ,
        "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 2),
        **flavour.environment,
    }
    began = time.monotonic()
    with log.open("wb") as out:
        build = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
        while True:
            try:
                code = build.wait(timeout=30)
                break
            except subprocess.TimeoutExpired:
                _say(f"  still building, {time.monotonic() - began:.0f} s")
    if code:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        print("\n".join(tail), file=sys.stderr)
        _say(f"the {flavour.name} build failed; its last lines are above")
        return None
    return next(folder.glob("*.whl"))


def _install_wheel(wheel: Path) -> None:
    _pip("install", "--no-deps", "--no-index", "--force-reinstall", "--no-cache-dir", str(wheel))


def _self_test() -> str:
    """Decode one token in a process of its own; returns what went wrong, or nothing."""
    run = subprocess.run(
        [str(PYTHON), str(ROOT / "tools" / "engine_selftest.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if run.returncode == 0:
        return ""
    lines = run.stderr.strip().splitlines()
    return f"exit {run.returncode}" + (f": {lines[-1]}" if lines else "")


def _pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        print(run.stdout + run.stderr, file=sys.stderr)
        raise SetupError("pip failed; its message is above")


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dmr" / "engine"


def _fingerprint(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]


def _output(*command: str) -> str:
    run = subprocess.run(command, capture_output=True, text=True)
    return run.stdout.rstrip("\n")


def _say(text: str) -> None:
    print(f"· {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
