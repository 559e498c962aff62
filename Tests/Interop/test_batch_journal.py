"""stream-batch --journal where the disk, the folder or the file is not as it should be."""

import os
import random
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from peers import ENVIRONMENT, PATIENCE_SECONDS
from test_batch_resume import seed


class Journal(unittest.TestCase):
    """What goes wrong is said, with the status of its kind, and no line is lost."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        # For the user without rights, too.
        self.folder.chmod(0o777)

    def run_tool(self, options, before="", status=0):
        """The diagnostics of a run."""
        done = subprocess.run(
            ["bash", "-c", f"{before} stream-batch -f lines {options}"], env=ENVIRONMENT,
            cwd=self.folder, capture_output=True, timeout=PATIENCE_SECONDS)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        return done.stderr.decode()

    def lines(self, name):
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def write(self, name, count):
        (self.folder / name).write_text("".join(f"{number}\n" for number in range(count)))

    def test_no_room(self):
        """As a disk that is full; then there is room again."""
        self.write("in", 3000)
        text = self.run_tool("-n 100 --journal j --resume --spill-dir . in -x 'cat >> taken'",
                             before="ulimit -f 8;", status=74)
        self.assertIn("j/journal: File too large", text)
        spilled = [line for path in self.folder.glob("stream-batch.*.jsonl")
                   for line in self.lines(path.name)]
        self.run_tool("-n 100 --journal j --resume in -x 'cat >> taken'")
        taken = self.lines("taken")
        self.assertEqual(set(taken + spilled), {str(number) for number in range(3000)})
        self.assertEqual(len(taken), len(set(taken)))

    def test_a_full_file_system(self):
        place = self.folder / "small"
        place.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place],
                          capture_output=True).returncode:
            self.skipTest("needs the right to mount")
        self.addCleanup(subprocess.run, ["umount", place])
        self.write("in", 30000)
        options = "-n 1000 --journal small/j --resume --spill-dir . in -x 'cat >> taken'"
        text = self.run_tool(options, status=74)
        self.assertIn("small/j/journal: No space left on device", text)
        self.run_tool("-n 9 --journal small/j2 in -x cat", status=74)
        spilled = [line for path in self.folder.glob("stream-batch.*.jsonl")
                   for line in self.lines(path.name)]
        subprocess.run(["mount", "-o", "remount,size=9m", place], check=True)
        self.run_tool(options)
        taken = self.lines("taken")
        self.assertEqual(set(taken + spilled), {str(number) for number in range(30000)})
        self.assertEqual(len(taken), len(set(taken)))

    def test_a_folder_that_cannot_be_written_to(self):
        self.write("in", 10)
        (self.folder / "j").mkdir()
        (self.folder / "j").chmod(0o555)
        before = ""
        if os.getuid() == 0:
            before = "setpriv --reuid 65534 --regid 65534 --clear-groups"
            if subprocess.run([*before.split(), "true"], capture_output=True).returncode:
                self.skipTest("root may write anywhere")
            # The tool itself must be within reach.
            shutil.copy(shutil.which("stream-batch", path=ENVIRONMENT["PATH"]), self.folder)
            before = f"PATH=.:$PATH; {before}"
        text = self.run_tool("--journal j in -x 'touch started'", before=before, status=73)
        self.assertEqual(text, "stream-batch: j/lock: Permission denied\n")
        self.assertFalse((self.folder / "started").exists())

    def test_files_are_private(self):
        self.write("in", 10)
        os.umask(0)
        self.addCleanup(os.umask, 0o022)
        self.run_tool("-n 5 --journal j in -x 'exit 1'", status=69)
        journal = self.folder / "j" / "journal"
        journal.write_bytes(journal.read_bytes().replace(b" 4\n", b" 5\n"))
        self.run_tool("-n 5 --journal j in -x 'exit 1'", status=69)
        names = {path.name: oct(path.stat().st_mode & 0o777) for path in
                 [self.folder / "j", *(self.folder / "j").iterdir()]}
        self.assertEqual(names, {"j": "0o700", "journal": "0o600", "lock": "0o600",
                                 "journal.damaged": "0o600"})

    def test_two_runs(self):
        self.write("in", 10)
        text = self.run_tool(
            "-n 10 --journal j in -x 'stream-batch --journal j in -- cat 2>&1; echo $? >&2'")
        self.assertEqual(text, "73\n")

    def test_damaged_between_runs(self):
        """Runs that fail, and a journal that changes between them: each line comes all the same."""
        value = seed("damaged between runs")
        for number in range(12):
            chance = random.Random(f"{value} {number}")
            with self.subTest(seed=value, number=number):
                shutil.rmtree(self.folder / "j", ignore_errors=True)
                (self.folder / "taken").unlink(missing_ok=True)
                self.damage(chance)

    def damage(self, chance):
        command = "[ $((BATCH_SEQ % 4)) = 3 ] && [ ! -e well ] && exit 1; cat >> taken"
        options = f"-n {chance.randrange(1, 9)} --journal j --resume in -x '{command}'"
        (self.folder / "well").unlink(missing_ok=True)
        count = 0
        for _ in range(5):
            count += chance.randrange(50)
            self.write("in", count)
            self.status(options, [0, 1, 69])
            journal = self.folder / "j" / "journal"
            text = bytearray(journal.read_bytes())
            # Not the head: that may become the one of another version.
            place = chance.randrange(23, len(text))
            if chance.randrange(3):
                for _ in range(chance.choice([1, 1, 20])):
                    text[min(place, len(text) - 1)] = chance.randrange(256)
                    place += 1
            else:
                del text[place:]
            journal.write_bytes(text)
        (self.folder / "well").touch()
        self.status(options, [0, 1])
        self.assertEqual(set(self.lines("taken")), {str(number) for number in range(count)})

    def status(self, options, statuses):
        done = subprocess.run(["bash", "-c", f"stream-batch -f lines {options}"], env=ENVIRONMENT,
                              cwd=self.folder, capture_output=True, timeout=PATIENCE_SECONDS)
        self.assertIn(done.returncode, statuses, done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
