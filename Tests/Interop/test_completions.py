"""Completions as a person has them: real shells in a terminal, and the Tab key."""

import re
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

from peers import ENVIRONMENT, until

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ["sse-decode", "sse-encode", "stream-batch", "stream-sample", "stream-serve", "ws-cat"]


class Terminal:
    """A shell in a terminal of tmux's, in a folder with one file."""

    def __init__(self, command):
        self.folder = tempfile.TemporaryDirectory(prefix="tab-")
        path = Path(self.folder.name)
        (path / "place").mkdir()
        (path / "place" / "filename.txt").write_text("")
        self.cleared = 0
        self.tmux = ["tmux", "-S", str(path / "socket"), "-f", "/dev/null"]
        self.run("new-session", "-d", "-x", "180", "-y", "50", "-c", str(path / "place"),
                 f"exec env PS1='$ ' HISTFILE= {command}")

    def run(self, *arguments):
        return subprocess.run([*self.tmux, *arguments], check=True, capture_output=True, text=True,
                              env=ENVIRONMENT | {"TERM": "xterm", "HOME": self.folder.name,
                                                 "LC_ALL": "C.UTF-8"}).stdout

    def screen(self):
        return self.run("capture-pane", "-p")

    def type(self, text, *keys):
        self.run("send-keys", "-l", text)
        for key in keys:
            self.run("send-keys", key)

    def sees(self, *texts):
        """Waits until all of them are on the screen."""
        seen = []

        def all_are_there():
            seen[:] = [self.screen()]
            return all(text in seen[0] for text in texts)

        try:
            until(all_are_there)
        except AssertionError:
            raise AssertionError(f"no {texts} in:\n{seen[0].strip()}") from None
        return seen[0]

    def clear(self):
        """An empty line on an empty screen."""
        self.cleared += 1
        self.run("send-keys", "C-u")
        self.type(f"clear; echo c''leared{self.cleared}", "Enter")
        self.sees(f"cleared{self.cleared}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("kill-server")
        self.folder.cleanup()


def options(tool):
    text = (ROOT / "completions/fish" / f"{tool}.fish").read_text()
    return re.findall(r" -l (\S+)", text)


class Completions(unittest.TestCase):
    def drive(self, command, load):
        with Terminal(command) as terminal:
            for tool in TOOLS:
                with self.subTest(tool=tool):
                    terminal.clear()
                    terminal.type(load(tool), "Enter")
                    terminal.clear()
                    self.drive_tool(terminal, tool)

    def drive_tool(self, terminal, tool):
        names = options(tool)
        self.assertGreater(len(names), 15)
        for name in names:
            # What others begin with, too, is completed as far as they are alike.
            alone = all(other.startswith(name) for other in names
                        if other.startswith(name[:-1]))
            terminal.type(f"{tool} --{name[:-1] if alone else name}", "Tab")
            screen = terminal.sees(f"--{name}")
            self.assertFalse(re.search("_arguments|bash:|zsh:|fish:", screen), screen)
            terminal.clear()
        for line, whole in [("--log-format=j", "--log-format=json"),
                            ("--metrics-file filen", "filename.txt"),
                            ("--stats filen", "filename.txt"), ("filen", "filename.txt")]:
            terminal.type(f"{tool} {line}", "Tab")
            self.assertNotIn("_arguments", terminal.sees(f"{tool} ", whole))
            terminal.clear()

    def test_bash(self):
        self.drive("bash --norc --noprofile -i",
                   lambda tool: f"source {shlex.quote(str(ROOT))}/completions/bash/{tool}")

    def test_zsh(self):
        folder = shlex.quote(str(ROOT / "completions/zsh"))
        self.drive("zsh -f -i",
                   lambda tool: f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D")

    def test_fish(self):
        self.drive("fish --no-config -i",
                   lambda tool: f"source {shlex.quote(str(ROOT))}/completions/fish/{tool}.fish")
