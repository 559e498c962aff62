"""JSON Lines between the tools, jq and Python's JSON reader."""

import json
import unittest

from peers import SAMPLES, lines, run

NUMBERS = ["9007199254740993", "123456789012345678901234567890", "1e1000", "-0", "1.0",
           "0.1000000000000000055511151231257827", "1E+2", "-1.50e-07"]


class Text(unittest.TestCase):
    """What other programs read and write."""

    def test_numbers_pass_verbatim(self):
        values = "".join(f'{{"n":{number},"a":[{number}, {number}],"n":{number}}}\n{number}\n'
                         for number in NUMBERS).encode()
        self.assertEqual(run("sse-encode -d | sse-decode -d", values), values)
        self.assertEqual(run("sse-encode -d --chunk 4 | sse-decode -d --join-chunks", values),
                         values)
        for number in NUMBERS:
            value = f'{{"a": [0, {{"n" :{number}}}]}}\n'.encode()
            path = "--data-from '.a[1].n'"
            self.assertEqual(run(f"sse-encode -d {path} | sse-decode -d", value),
                             f"{number}\n".encode())
            self.assertEqual(run("sse-encode -d | sse-decode -d --get '.a[1].n'", value),
                             f"{number}\n".encode())
            self.assertEqual(run("sse-encode -d | sse-decode -j", value),
                             b'{"event":"message","data":' + value[:-1] + b"}\n")

    def test_samples_pass_verbatim(self):
        for name in ["access.jsonl", "agent.jsonl", "metrics.jsonl", "records.jsonl"]:
            sample = (SAMPLES / name).read_bytes()
            self.assertEqual(run("sse-encode -d | sse-decode -d", sample), sample)

    def test_jq_reads_what_we_write(self):
        self.assertEqual(
            run("sse-decode -j openai.sse | jq -j '.data.choices?[0].delta.content // empty'"),
            run("sse-decode -t --get '.choices[0].delta.content' openai.sse"))
        for name in SAMPLES.glob("*.sse"):
            with self.subTest(name.name):
                self.assertEqual(run(f"sse-decode {name} | jq -rj '.data + \"|\"'"),
                                 run(f"sse-decode -t {name} | cat").replace(b"\n", b"|"))

    def test_we_read_what_jq_writes(self):
        fields = "{event: .type, id: .step, data: .}"
        output = run(f"jq -c '{fields}' agent.jsonl | sse-encode | sse-decode -j")
        sample = lines((SAMPLES / "agent.jsonl").read_bytes())
        self.assertEqual(lines(output), [
            {"event": line["type"], "id": str(line["step"]), "data": line} for line in sample])
        output = run("jq -ac . agent.jsonl | sse-encode -d | sse-decode -d")
        self.assertEqual(lines(output), sample)

    def test_python_reads_every_line(self):
        hostile = b"".join([
            b"event: \xff\xfe\ndata: \x00\x01\x1f\x7f\"\\/\n\n", b"data: \xed\xa0\x80\n\n",
            b"id: \xf0\x9f\n: \x08\nretry: 5\n\n", b"data: {\"a\":\ndata: 1}\n\n",
            b"data: {\"a\":\ndata: 1\n\n", b"data: \"\\ud800\"\n\n", b"data\n\n",
            "data: \u2028\u2029\u0085\n\n".encode()])
        for name in [*SAMPLES.glob("*.sse"), None]:
            stream = name.read_bytes() if name else hostile
            for form in ["-r", "-d", "-j", "-r --all", "-j --all"]:
                with self.subTest(name=name, form=form):
                    output = run(f"sse-decode {form}", stream)
                    self.assertNotEqual(output, b"")
                    self.assertTrue(output.endswith(b"\n"))
                    for line in output.split(b"\n")[:-1]:
                        value = json.loads(line.decode("utf-8", "strict"))
                        if form != "-d":
                            self.assertIsInstance(value, dict)
