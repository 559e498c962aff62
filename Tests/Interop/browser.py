"""Chromium without a window, driven over the DevTools protocol, each wait with an end."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from websockets.sync.client import connect

import peers
from peers import ENVIRONMENT

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])),
                None)
# Nothing of it talks to anybody but the server under test.
OPTIONS = ["--headless=new", "--remote-debugging-port=0", "--no-first-run", "--no-proxy-server",
           "--no-default-browser-check", "--disable-background-networking", "--disable-sync",
           "--disable-component-update", "--disable-default-apps", "--disable-extensions",
           "--disable-dev-shm-usage", "--disable-gpu", "--mute-audio", "--hide-scrollbars",
           "--disable-features=OptimizationHints,MediaRouter,DialMediaRouteProvider"]
POLL_SECONDS = 0.05
# It is many processes, each of which waits for its turn on a busy machine.
PATIENCE_SECONDS = 3 * peers.PATIENCE_SECONDS


class BrowserError(Exception):
    pass


def until(check, what, patience=PATIENCE_SECONDS):
    """What `check` gives as soon as it is true; `what` says what was waited for."""
    deadline = time.monotonic() + patience
    while not (result := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {patience} seconds still not: {what}")
        time.sleep(POLL_SECONDS)
    return result


class Browser:
    """One process with a profile of its own. Pages are closed with it."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            [CHROMIUM, *OPTIONS, *root, f"--user-data-dir={self.folder.name}", "about:blank"],
            env=ENVIRONMENT | {"HOME": self.folder.name}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.connection = None
        self.calls = 0
        self.pages = {}
        try:
            port, path = until(self.address, "chromium listens for DevTools")
            self.connection = connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None,
                                      compression=None, open_timeout=PATIENCE_SECONDS)
        except BaseException:
            self.close()
            raise

    def address(self):
        if self.process.poll() is not None:
            raise BrowserError(f"chromium ended with status {self.process.returncode}")
        file = Path(self.folder.name, "DevToolsActivePort")
        return file.exists() and len(lines := file.read_text().split()) == 2 and lines

    def call(self, method, session=None, **parameters):
        """The result of a DevTools command."""
        self.calls += 1
        message = {"id": self.calls, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self.connection.send(json.dumps(message))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = json.loads(self.connection.recv(max(0, deadline - time.monotonic())))
            if answer.get("id") == message["id"]:
                break
            if page := self.pages.get(answer.get("sessionId")):
                page.told(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def page(self, url, width=1280, height=800, scheme="light"):
        """A new tab that has loaded this."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, target, session)
        for domain in ["Page", "Runtime", "Log", "Network"]:
            page.call(f"{domain}.enable")
        page.call("Performance.enable", timeDomain="threadTicks")
        # Else only the tab in front draws and has timers that are on time.
        page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        page.look(width, height, scheme)
        page.navigate(url)
        return page

    def close(self):
        try:
            if self.connection:
                self.call("Browser.close")
                self.connection.close()
            else:
                self.process.terminate()
            self.process.wait(PATIENCE_SECONDS)
        except Exception:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


class Page:
    def __init__(self, browser, target, session):
        self.browser = browser
        self.target = target
        self.session = session
        self.errors = []         # exceptions, and what the policy of the page forbade
        self.handshakes = []     # heads of the answers to WebSocket requests
        self.responses = []      # heads of all other answers

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def told(self, message):
        parameters = message["params"]
        match message["method"]:
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description")
                                   or details["text"])
            case "Log.entryAdded":
                entry = parameters["entry"]
                # A lost connection, which tests cause, is of the source "network".
                if entry["level"] == "error" and entry["source"] != "network":
                    self.errors.append(entry["text"])
            case "Network.webSocketHandshakeResponseReceived":
                self.handshakes.append(parameters["response"])
            case "Network.responseReceived":
                self.responses.append(parameters["response"])

    def navigate(self, url):
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserError(f"{url}: {answer['errorText']}")
        until(lambda: self.evaluate("document.readyState") == "complete", f"{url} is loaded")

    def evaluate(self, expression):
        """The value of this JavaScript, that of a promise when it is settled."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True, timeout=PATIENCE_SECONDS * 1000)
        if details := answer.get("exceptionDetails"):
            raise BrowserError(details.get("exception", {}).get("description")
                               or details["text"])
        return answer["result"].get("value")

    def processor_seconds(self):
        """What its thread has used."""
        [seconds] = [each["value"] for each in self.call("Performance.getMetrics")["metrics"]
                     if each["name"] == "TaskDuration"]
        return seconds

    def until(self, expression, patience=PATIENCE_SECONDS):
        return until(lambda: self.evaluate(expression), expression, patience)

    def look(self, width, height, scheme="light"):
        """The size of the viewport, and what the reader likes better: "light" or "dark"."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if width < 600 else 1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, file):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(data))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
        self.browser.pages.pop(self.session)
