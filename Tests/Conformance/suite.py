"""Installs the Autobahn suite and the Python 2.7 that it needs, both below the build folder."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
# What pip for 2.7 needs to build the packages that have no wheel.
BOOTSTRAP = ["pip==20.3.4", "setuptools==44.1.1", "wheel==0.37.1"]
# The last Debian with 2.7, and the libraries of it that a later one lacks.
DEBIAN = "bullseye"
PACKAGES = ["python2.7", "python2.7-minimal", "libpython2.7", "libpython2.7-dev",
            "libpython2.7-minimal", "libpython2.7-stdlib", "libffi7", "libssl1.1"]
MIRRORS = ["http://deb.debian.org/debian/", "http://archive.debian.org/debian/"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring"
STEP_SECONDS = 600


class CannotInstall(Exception):
    pass


def install(build):
    """The command of wstest and its environment, installed below `build` when it is not yet."""
    build.mkdir(parents=True, exist_ok=True)
    with open(build / "autobahn.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        base = build / "autobahn"
        python, environment = python2(build)
        environment["PYTHONUSERBASE"] = str(base)
        environment["PYTHONWARNINGS"] = "ignore"
        # Another Python or other packages than last time: all of it anew.
        stamp = base / "installed"
        wanted = f"{python}\n{' '.join(BOOTSTRAP)}\n{REQUIREMENTS.read_text()}"
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(base, ignore_errors=True)
            packages(python, environment, base)
            stamp.write_text(wanted)
    return [str(python), str(base / "bin" / "wstest")], environment


def packages(python, environment, base):
    wheels = base / "wheels"
    step([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
          "--no-deps", "--dest", wheels, *BOOTSTRAP], os.environ)
    [pip] = wheels.glob("pip-*.whl")
    options = ["install", "--quiet", "--user", "--no-warn-script-location", "--no-cache-dir",
               "--disable-pip-version-check", "--no-python-version-warning"]
    step([python, pip / "pip", *options, "--ignore-installed", "--no-index", "--no-deps",
          *wheels.glob("*.whl")], environment)
    # All are named, so that nothing is looked for in vain. They find one another while they build.
    step([python, "-m", "pip", *options, "--no-deps", "-r", REQUIREMENTS], environment)


def python2(build):
    """A Python 2.7 and the environment it runs in: pyenv's, or Debian's unpacked."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("PYTHON", "VIRTUAL_ENV", "LD_"))}
    for python in sorted(pyenv().glob("versions/2.7.*/bin/python2.7")):
        if works([python, "-c", "import ssl, ctypes, zlib"], environment):
            return python, environment
    root = build / "python2.7"
    python = root / "usr" / "bin" / "python2.7"
    libraries = sysconfig.get_config_var("MULTIARCH") or ""
    environment["LD_LIBRARY_PATH"] = str(root / "usr" / "lib" / libraries)
    # The compiler would look for the headers where Debian installs them.
    include = root / "usr" / "include"
    environment["CPATH"] = f"{include}:{include}/python2.7"
    check = [python, "-c", "import ssl, ctypes, zlib"]
    if not works(check, environment):
        shutil.rmtree(root, ignore_errors=True)
        unpack(root)
        step(check, environment)
    return python, environment


def pyenv():
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return Path(subprocess.check_output(["pyenv", "root"], text=True).strip())
    return Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))


def unpack(root):
    """Unpacks Debian's Python below `root`. apt checks the signatures, in folders of its own."""
    if not shutil.which("apt-get"):
        raise CannotInstall("the Autobahn suite needs Python 2.7: pyenv install 2.7.18")
    keys = [path for path in [f"{KEYRING}.gpg", f"{KEYRING}.pgp"] if os.path.exists(path)]
    if not keys:
        raise CannotInstall("no keys of Debian's archive: apt-get install debian-archive-keyring")
    state = root / "apt"
    for folder in ["lists/partial", "cache/archives/partial", "packages"]:
        (state / folder).mkdir(parents=True)
    configuration = state / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::sourcelist "{state}/sources.list"; Dir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{state}/lists"; Dir::Cache "{state}/cache";\n'
        'Acquire::Languages "none"; Acquire::Retries "2"; APT::Sandbox::User "";\n'
        'Acquire::http::Timeout "30"; Acquire::https::Timeout "30";\n')
    environment = os.environ | {"APT_CONFIG": str(configuration)}
    refusals = []
    for mirror in mirrors():
        # An archived release is signed, but its date is long past.
        (state / "sources.list").write_text(
            f"deb [signed-by={keys[0]} check-valid-until=no] {mirror} {DEBIAN} main\n")
        try:
            step(["apt-get", "update", "--error-on=any", "-qq"], environment)
            step(["apt-get", "download", "-qq", *PACKAGES], environment, state / "packages")
        except CannotInstall as refusal:
            refusals.append(str(refusal))
            continue
        for package in sorted((state / "packages").glob("*.deb")):
            step(["dpkg", "-x", package, root], os.environ)
        shutil.rmtree(state)
        return
    raise CannotInstall("\n".join(refusals))


def mirrors():
    """Where this machine gets Debian from, then where everybody does."""
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)",
                             "Created-By: Packages"], capture_output=True, text=True,
                            timeout=STEP_SECONDS)
    own = [uri for uri in listed.stdout.split() if re.search(r"/debian/?$", uri)]
    return list(dict.fromkeys(own + MIRRORS))


def works(command, environment):
    try:
        return subprocess.run(command, env=environment, capture_output=True,
                              timeout=STEP_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def step(command, environment, folder=None):
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=STEP_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise CannotInstall(f"{' '.join(command)}: {problem}") from problem
    if done.returncode:
        raise CannotInstall(f"{' '.join(command)}: {done.stdout[-2000:]}")
