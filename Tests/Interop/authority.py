"""A certificate authority for the tests, made by the openssl program."""

import base64
import hashlib
import ssl
import subprocess
from pathlib import Path

from peers import PATIENCE_SECONDS


def openssl(*arguments, input=None):
    return subprocess.run(["openssl", *arguments], input=input, capture_output=True, check=True,
                          timeout=PATIENCE_SECONDS).stdout


class Authority:
    """One authority in a folder, with its certificate at `certificate`."""

    def __init__(self, folder, name):
        self.folder = Path(folder)
        self.name = name
        self.certificate = self.folder / f"{name}.pem"
        self._make(name, ["basicConstraints=critical,CA:TRUE",
                          "keyUsage=critical,keyCertSign,cRLSign"], [])

    def _make(self, name, extensions, signer):
        for extension in extensions:
            signer = [*signer, "-addext", extension]
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", f"/CN={name}", "-keyout", str(self.folder / f"{name}.key"),
                "-out", str(self.folder / f"{name}.pem"), *signer)

    def issue(self, name, alternatives=None):
        """The paths of a certificate and its key. `alternatives` are the names it is good for."""
        extensions = ["basicConstraints=critical,CA:FALSE"]
        if alternatives:
            extensions.append(f"subjectAltName={alternatives}")
        self._make(name, extensions, ["-CA", str(self.certificate), "-CAkey",
                                      str(self.folder / f"{self.name}.key")])
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")


def server_context(certificate, key, clients=None):
    """What a server of the tests needs; `clients` is the authority of the clients it wants."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


def pin(certificate):
    """The hash of the public key of a certificate, as curl writes it."""
    public = openssl("x509", "-in", certificate, "-pubkey", "-noout")
    der = openssl("pkey", "-pubin", "-outform", "DER", input=public)
    return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()
