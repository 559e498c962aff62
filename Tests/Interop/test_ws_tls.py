"""ws-cat over TLS, with an authority that nobody but the test knows."""

import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

from authority import Authority, pin, server_context
from peers import ENVIRONMENT, PATIENCE_SECONDS, run
from ws_peers import MESSAGES, messages, outcome, records, saying, websockets_server


class TLS(unittest.TestCase):
    """wss:// and who is believed."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.authority = Authority(folder.name, "authority")
        cls.other = Authority(folder.name, "other")
        cls.pair = cls.authority.issue("localhost", "DNS:localhost,IP:127.0.0.1")
        cls.elsewhere = cls.authority.issue("elsewhere", "DNS:elsewhere.example")
        cls.client = cls.authority.issue("client")
        cls.stranger = cls.other.issue("stranger")

    def server(self, pair=None, answer=saying("1"), clients=None):
        return websockets_server(answer, ssl=server_context(*(pair or self.pair), clients))

    def test_every_kind_of_message(self):
        with websockets_server(ssl=server_context(*self.pair)) as seen:
            for options in ["", "--compress=off"]:
                output = run(f"ws-cat -r --no-close -n {len(MESSAGES)} {options}"
                             f" --cacert {self.authority.certificate} {seen.url}",
                             records(MESSAGES))
                self.assertEqual(messages(output), MESSAGES)

    def test_a_name(self):
        with self.server() as seen:
            url = f"wss://localhost:{seen.port}/"
            self.assertEqual(run(f"ws-cat --no-close --cacert {self.authority.certificate} {url}"),
                             b"1\n")
            self.assertEqual(seen.requests[0].headers["Host"], f"localhost:{seen.port}")

    def refused(self, options, status=77, **server):
        with self.server(**server) as seen:
            done = outcome(f"ws-cat --no-close {options} {seen.url}", b"2\n")
            self.assertEqual((done.returncode, done.stdout), (status, b""), done.stderr)
            self.assertNotEqual(done.stderr, b"")
            # It came no further than to the certificate.
            self.assertEqual(seen.requests, [])

    def test_an_unknown_authority(self):
        self.refused("")
        self.refused(f"--cacert {self.other.certificate}")

    def test_authorities_of_the_environment(self):
        hashed = subprocess.run(
            ["openssl", "x509", "-noout", "-hash", "-in", str(self.authority.certificate)],
            check=True, capture_output=True, text=True).stdout.strip()
        with tempfile.TemporaryDirectory() as folder, self.server() as seen:
            Path(folder, f"{hashed}.0").symlink_to(Path(self.authority.certificate).resolve())
            for name, right, wrong in [
                    ("SSL_CERT_FILE", self.authority.certificate, self.other.certificate),
                    ("SSL_CERT_DIR", folder, "/var/empty")]:
                with self.subTest(name):
                    done = outcome(f"ws-cat --no-close {seen.url}", **{name: str(right)})
                    self.assertEqual((done.returncode, done.stdout), (0, b"1\n"), done.stderr)
                    done = outcome(f"ws-cat --no-close {seen.url}", **{name: str(wrong)})
                    self.assertEqual((done.returncode, done.stdout), (77, b""), done.stderr)

    def test_another_name(self):
        self.refused(f"--cacert {self.authority.certificate}", pair=self.elsewhere)

    def test_a_name_that_is_given(self):
        with self.server(self.elsewhere) as seen:
            self.assertEqual(run(f"ws-cat --no-close --cacert {self.authority.certificate}"
                                 f" --servername elsewhere.example {seen.url}"), b"1\n")

    def test_insecure(self):
        for pair in [self.pair, self.elsewhere]:
            with self.server(pair) as seen:
                self.assertEqual(run(f"ws-cat --no-close --insecure {seen.url}"), b"1\n")

    def test_pins(self):
        right, wrong = pin(self.pair[0]), pin(self.elsewhere[0])
        trust = f"--cacert {self.authority.certificate}"
        with self.server() as seen:
            self.assertEqual(run(f"ws-cat --no-close {trust} --pinnedpubkey '{right}' {seen.url}"),
                             b"1\n")
            self.assertEqual(run(f"ws-cat --no-close --insecure --pinnedpubkey '{wrong};{right}'"
                                 f" {seen.url}"), b"1\n")
        self.refused(f"{trust} --pinnedpubkey '{wrong}'")
        # Whoever is not verified is pinned all the same.
        self.refused(f"--insecure --pinnedpubkey '{wrong}'")

    def test_certificates_that_are_being_replaced(self):
        """With --reconnect a file that is missing, or half there, is read again; without, it is
        told at once."""
        certificate, key = self.client
        whole = {"cacert": Path(self.authority.certificate).read_bytes(),
                 "cert": Path(certificate).read_bytes(), "key": Path(key).read_bytes()}
        with tempfile.TemporaryDirectory() as folder, \
                self.server(clients=self.authority.certificate) as seen:
            paths = {name: Path(folder, name) for name in whole}
            options = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
            for name in whole:
                for contents in [None, b"", whole[name][:len(whole[name]) // 2]]:
                    with self.subTest(name, contents=contents):
                        for each, path in paths.items():
                            path.write_bytes(whole[each])
                        paths[name].unlink()
                        if contents is not None:
                            paths[name].write_bytes(contents)
                        command = ["ws-cat", "--no-close", "-n", "1", *options, seen.url]
                        done = subprocess.run(command, stdin=subprocess.DEVNULL,
                                              capture_output=True, env=ENVIRONMENT,
                                              timeout=PATIENCE_SECONDS)
                        self.assertEqual(done.returncode, 78, done.stderr)
                        tool = subprocess.Popen(
                            [*command, "--reconnect", "--backoff", "1ms..50ms"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=ENVIRONMENT)
                        with tool:
                            self.assertIn(b"connecting again in", tool.stderr.readline())
                            new = paths[name].with_suffix(".new")
                            new.write_bytes(whole[name])
                            new.rename(paths[name])
                            self.assertEqual(tool.communicate(timeout=PATIENCE_SECONDS)[0],
                                             b"1\n")
                            self.assertEqual(tool.returncode, 0)

    def test_client_certificates(self):
        trust = f"--cacert {self.authority.certificate}"
        with self.server(clients=self.authority.certificate) as seen:
            certificate, key = self.client
            self.assertEqual(run(f"ws-cat --no-close {trust} --cert {certificate} --key {key}"
                                 f" {seen.url}"), b"1\n")
            # With TLS 1.3 the refusal comes when the client believes to be connected.
            for pair in [None, self.stranger]:
                ours = f"--cert {pair[0]} --key {pair[1]}" if pair else ""
                done = outcome(f"ws-cat --no-close {trust} {ours} {seen.url}", b"2\n")
                self.assertIn(done.returncode, [69, 77], done.stderr)
                self.assertEqual(done.stdout, b"")
            self.assertEqual(len(seen.requests), 1)

    def test_a_server_without_tls(self):
        with websockets_server() as seen:
            done = outcome(f"ws-cat --no-close wss://127.0.0.1:{seen.port}/")
        self.assertIn(done.returncode, [69, 77], done.stderr)

    def test_versions(self):
        for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
            context = server_context(*self.pair)
            context.minimum_version = context.maximum_version = version
            with websockets_server(saying("1"), ssl=context) as seen:
                self.assertEqual(run(f"ws-cat --no-close --cacert {self.authority.certificate}"
                                     f" {seen.url}"), b"1\n")
