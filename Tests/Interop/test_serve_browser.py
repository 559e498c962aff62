"""stream-serve with chromium: its viewer, and the browser's own EventSource and WebSocket."""

import json
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from browser import CHROMIUM, PATIENCE_SECONDS, Browser, until
from peers import ENVIRONMENT, TOOLS
from serve_bed import Server as Bed, own_address

SCREENSHOTS = Path(__file__).resolve().parents[2] / ".build" / "screenshots"
PHONE = {"width": 390, "height": 844}
with_browser = unittest.skipUnless(CHROMIUM, "there is no chromium (Debian's package chromium)")

browser = None


def setUpModule():
    global browser
    if CHROMIUM:
        browser = Browser()
        unittest.addModuleCleanup(browser.close)


class Server:
    """stream-serve and the producer at its standard input. Lines are made of numbers."""

    def __init__(self, options="--id-from .n", address=None):
        self.address = address or own_address()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "port")
            self.process = subprocess.Popen(
                [TOOLS / "stream-serve", "-l", self.address, "--port-file", file,
                 "-q", *options.split()], stdin=subprocess.PIPE, env=ENVIRONMENT)
            # What a test forgot must not go on for ever.
            self.clock = threading.Timer(3 * PATIENCE_SECONDS, self.process.kill)
            self.clock.daemon = True
            self.clock.start()
            until(lambda: file.exists() and file.read_text().endswith("\n")
                  or self.process.poll() is not None, "stream-serve listens")
            if self.process.poll() is not None:
                self.clock.cancel()
                raise AssertionError(f"stream-serve: exit status {self.process.returncode}")
        self.url = f"http://{self.address}"

    def feed(self, *values):
        self.process.stdin.write("".join(json.dumps(value) + "\n" for value in values).encode())
        self.process.stdin.flush()

    def count(self, first, last, **more):
        self.feed(*({"n": number} | more for number in range(first, last + 1)))

    def stop(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.ended()

    def end(self):
        """The end of its input."""
        self.process.stdin.close()

    def ended(self):
        status = self.process.wait(PATIENCE_SECONDS)
        self.clock.cancel()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        return status


class Case(unittest.TestCase):
    maxDiff = 2000

    def server(self, *arguments, **options):
        server = Server(*arguments, **options)
        self.addCleanup(server.stop)
        return server

    def page(self, url, **look):
        page = browser.page(url, **look)
        self.addCleanup(self.without_errors, page)
        return page

    def without_errors(self, page):
        page.close()
        self.assertEqual(page.errors, [])

    def viewer(self, server, hash="", prefix="", **look):
        page = self.page(f"{server.url}{prefix}/#{hash}", **look)
        page.until("viewer.state === 'open'")
        # What it was at any time: soon after the last event it is 0.
        page.evaluate("""{
            const rate = document.getElementById("rate");
            window.shownRates = [rate.textContent];
            new MutationObserver(() => shownRates.push(rate.textContent)).observe(
                rate, { childList: true, characterData: true, subtree: true });
        }""")
        return page

    def received(self, page, count):
        page.until(f"viewer.received >= {count}")
        self.assertEqual(page.evaluate("viewer.received"), count)

    def shows(self, page, rows):
        try:
            page.until(f"document.querySelectorAll('#rows tr').length === {rows}")
        except AssertionError:
            self.assertEqual(page.evaluate("document.querySelectorAll('#rows tr').length"), rows)

    def column(self, page, name):
        """The text of a column, newest first."""
        return page.evaluate(
            f"[...document.querySelectorAll('#rows td.{name}')].map(cell => cell.textContent)")

    def text(self, page, id):
        return page.evaluate(f"document.getElementById('{id}').textContent")

    def choose(self, page, id, value, event="change"):
        page.evaluate(f"""{{
            const field = document.getElementById('{id}');
            field.value = {json.dumps(value)};
            field.dispatchEvent(new Event('{event}', {{ bubbles: true }}));
        }}""")

    def click(self, page, id):
        page.evaluate(f"document.getElementById('{id}').click()")


def counted(first, last):
    return [str(number) for number in range(first, last + 1)]


@with_browser
class Viewer(Case):
    def test_events_arrive(self):
        for transport in ["sse", "ws"]:
            with self.subTest(transport):
                server = self.server("--id-from .n --channel-from .c --prefix /live")
                # An id wins over a count, so none may be "50".
                server.count(101, 170, c="old")
                Bed.idle(server)  # Each worker has them.
                page = self.viewer(server, f"transport={transport}&since=50", "/live")
                self.received(page, 50)
                self.shows(page, 50)
                server.feed({"n": 171, "c": "a.b", "ts": int(time.time() * 1000)},
                            {"n": 172, "exact": 12345678901234567890123, "float": 1.10})
                self.received(page, 52)
                self.shows(page, 52)
                self.assertEqual(self.column(page, "id"), counted(121, 172)[::-1])
                self.assertEqual(self.column(page, "channel")[:3], ["", "a.b", "old"])
                self.assertEqual(self.column(page, "data")[0],
                                 '{"n":172,"exact":12345678901234567890123,"float":1.1}')
                self.assertEqual(page.evaluate("[viewer.lastId, viewer.ids.size, viewer.ids.has("
                                               "'121'), viewer.gaps, viewer.duplicates]"),
                                 ["172", 52, True, 0, 0])
                page.until("shownRates.some(rate => /^(?!0 )[\\d.,]+ events\\/s, [\\d.]+ k?B\\/s$/"
                           ".test(rate))")
                page.until("/ms? \\/ .*m?s$/.test("
                           "document.getElementById('latency').textContent)")
                self.assertEqual(self.text(page, "state"), "open")
                page.evaluate("""{
                    window.again = 0;
                    const later = window.setTimeout;
                    window.setTimeout = (work, ...rest) => {
                        again += work === connect;
                        return later(work, ...rest);
                    };
                }""")
                server.end()
                page.until("viewer.state === 'ended'")
                self.assertEqual(server.ended(), 0)
                # It does not come back for what has ended.
                time.sleep(0.2)
                self.assertEqual(page.evaluate("[again, connection, viewer.received]"),
                                 [0, None, 52])
                self.assertEqual(self.text(page, "state"), "ended")

    def test_named_events(self):
        """EventSource gives an event only to whoever knows its name, and the viewer does not: with
        `records` the name is in the record alone."""
        server = self.server("--id-from .n --event-from .e")
        for transport in ["sse", "ws"]:
            with self.subTest(transport):
                page = self.viewer(server, f"transport={transport}&since=earliest")
                if transport == "sse":
                    server.feed(*({"n": number, "e": name} for number, name in
                                  enumerate(["price", "message", "gap", "end", "error", "open"])))
                self.received(page, 6)
                self.shows(page, 6)
                self.assertEqual(sorted(self.column(page, "event")),
                                 ["end", "error", "gap", "message", "open", "price"])
                self.assertEqual(page.evaluate("[viewer.gaps, viewer.state]"), [0, "open"])

    def test_the_server_is_killed_and_comes_back(self):
        for transport in ["sse", "ws"]:
            with self.subTest(transport):
                server = self.server()
                server.count(1, 5)
                page = self.viewer(server, f"transport={transport}&since=earliest")
                page.until("viewer.received >= 5")
                for number in range(6, 101):
                    server.count(number, number)
                server.stop()
                page.until("/^reconnecting in \\d+ s$/.test("
                           "document.getElementById('state').textContent)")
                page.until("document.getElementById('toast').textContent")
                # The producer knows not what was sent, so it begins with what certainly was.
                server = self.server(address=server.address)
                server.count(4, 150)
                page.until("viewer.lastId === '150'")
                server.count(151, 300)
                self.received(page, 300)
                self.assertEqual(page.evaluate("[viewer.gaps, viewer.duplicates, viewer.state]"),
                                 [0, 0, "open"])
                self.shows(page, 300)
                self.assertEqual(self.column(page, "id"), counted(1, 300)[::-1])
                server.stop()

    def test_a_gap_is_told(self):
        for transport in ["sse", "ws"]:
            with self.subTest(transport):
                server = self.server("")
                page = self.viewer(server, f"transport={transport}")
                server.count(1, 10)
                self.received(page, 10)
                server.stop()
                page.until("viewer.state === 'reconnecting'")
                page.evaluate("""{
                    window.toasts = [];
                    const before = toast;
                    toast = text => { toasts.push(text); before(text); };
                }""")
                # Ids of another run: nobody can say what was missed.
                server = self.server("", address=server.address)
                server.count(12, 20)
                self.click(page, "connect")
                self.received(page, 19)
                self.assertEqual(page.evaluate("[viewer.gaps, viewer.duplicates]"), [1, 0])
                page.until("document.getElementById('gaps').textContent"
                           " === '1 (unknown, some missed)'")
                self.assertIn("A gap: unknown", " ".join(page.evaluate("toasts")))
                self.assertEqual(len(self.column(page, "data")), 20)
                self.assertEqual(page.evaluate(
                    "document.querySelector('tr.gap td.event').textContent"), "gap")

    def test_nothing_came_before_the_connection_broke(self):
        server = self.server("")
        page = self.viewer(server)
        server.stop()
        page.until("viewer.state === 'reconnecting'")
        server = self.server("", address=server.address)
        server.count(1, 3)
        self.received(page, 3)
        self.assertEqual(page.evaluate("viewer.gaps"), 0)

    def test_channels_and_filter(self):
        server = self.server("--id-from .n --channel-from .c")
        page = self.viewer(server, "since=earliest")
        server.feed({"n": 1, "c": "a.x", "say": "Hello"}, {"n": 2, "c": "a.y"},
                    {"n": 3, "c": "b.x", "say": "hello"}, {"n": 4}, {"n": 5, "c": "a.x.z"})
        self.received(page, 5)
        for patterns, wanted in [("a.*", ["2", "1"]), ("a.**", ["5", "2", "1"]),
                                 ("b.x, a.y", ["3", "2"]), ("", ["5", "4", "3", "2", "1"])]:
            with self.subTest(patterns):
                self.choose(page, "channel", patterns)
                self.received(page, len(wanted))
                self.shows(page, len(wanted))
                self.assertEqual(self.column(page, "id"), wanted)
        self.choose(page, "filter", "HELLO", "input")
        self.shows(page, 2)
        self.assertEqual(self.column(page, "id"), ["3", "1"])
        server.feed({"n": 6}, {"n": 7, "say": "hello again"})
        self.shows(page, 3)
        self.assertEqual(page.evaluate("[viewer.received, location.hash]"),
                         [7, "#since=earliest&filter=HELLO"])
        self.choose(page, "filter", "", "input")
        self.shows(page, 7)
        # The hash is the view, so it can be sent to somebody.
        page.evaluate("location.hash = '#transport=ws&since=earliest&channel=b.*&raw=1'")
        page.until("viewer.received === 1 && viewer.state === 'open'")
        self.shows(page, 1)
        self.assertEqual(self.column(page, "data"), [
            '{"id":"3","data":{"n": 3, "c": "b.x", "say": "hello"},"channel":"b.x"}'])

    def test_pause(self):
        server = self.server()
        page = self.viewer(server)
        server.count(1, 5)
        self.shows(page, 5)
        self.click(page, "pause")
        self.assertEqual(self.text(page, "state"), "paused")
        server.count(6, 25)
        page.until("document.getElementById('pause').textContent === 'Resume (20 waiting)'")
        self.shows(page, 5)
        server.count(26, 12025)
        page.until("document.getElementById('pause').textContent"
                   " === 'Resume (10,000 waiting, 2,020 dropped)'")
        self.click(page, "pause")
        self.shows(page, 1000)
        self.assertEqual(self.column(page, "id"), counted(11026, 12025)[::-1])
        self.assertEqual(page.evaluate("[viewer.received, viewer.state, viewer.duplicates]"),
                         [12025, "open", 0])

    def test_columns_and_raw(self):
        server = self.server()
        page = self.viewer(server, "since=earliest")
        server.feed({"n": 1, "a": "x"}, {"n": 2, "b": [1]}, {"n": 3, "a": {"deep": None}})
        self.received(page, 3)
        self.click(page, "columns")
        self.shows(page, 3)
        self.assertEqual(page.evaluate(
            "[...document.querySelectorAll('#head th')].map(head => head.textContent)"),
            ["time", "channel", "event", "id", "n", "a", "b", "data"])
        self.assertEqual(self.column(page, "field"),
                         ["3", '{"deep":null}', "", "2", "", "[1]", "1", "x", ""])
        self.click(page, "raw")
        self.assertEqual(self.column(page, "data")[0],
                         '{"id":"3","data":{"n": 3, "a": {"deep": null}}}')
        self.click(page, "clear")
        self.shows(page, 0)

    def test_what_cannot_be_read(self):
        server = self.server()
        page = self.viewer(server)
        page.evaluate("receive('{'); receive('7'); receive(new Blob())")
        self.shows(page, 3)
        self.assertEqual(page.evaluate("[viewer.malformed, viewer.received]"), [3, 0])
        self.assertEqual(self.text(page, "toast"), "A message is not text.")
        server.count(1, 1)
        self.received(page, 1)

    def test_ids_are_remembered_within_a_bound(self):
        page = self.viewer(self.server())
        self.assertEqual(page.evaluate("""(() => {
            const ids = new Identifiers();
            for (let id = 0; id < 250000; id += 1) { ids.add(String(id)); }
            return [ids.size, ids.has("149999"), ids.has("150000"), ids.add("249999")];
        })()"""), [100000, False, True, False])

    def test_many_events(self):
        for transport in ["sse", "ws"]:
            with self.subTest(transport):
                server = self.server("--id-from .n --buffer 20000")
                page = self.viewer(server, f"transport={transport}")
                spent = page.processor_seconds()
                began = time.monotonic()
                for first in range(1, 10000, 500):
                    server.count(first, first + 499, text="x" * 100)
                    time.sleep(max(0, began + (first + 499) / 5000 - time.monotonic()))
                self.received(page, 10000)
                page.until("document.querySelector('#rows td.id').textContent === '10000'")
                self.shows(page, 1000)
                self.assertEqual(self.column(page, "id"), counted(9001, 10000)[::-1])
                self.assertEqual(page.evaluate("[viewer.gaps, viewer.duplicates]"), [0, 0])
                # It has time for other things meanwhile.
                self.assertLess(page.processor_seconds() - spent, 5)
                server.stop()

    def test_markup_is_text(self):
        server = self.server("-r")
        page = self.viewer(server)
        markup = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"
        server.feed({"id": markup, "data": markup}, {"data": {markup: markup}})
        self.received(page, 2)
        self.shows(page, 2)
        self.click(page, "columns")
        self.shows(page, 2)
        self.assertEqual(self.column(page, "id")[1], markup)
        self.assertEqual(self.column(page, "data")[1], markup)
        self.assertEqual(self.column(page, "field")[0], markup)
        self.assertEqual(page.evaluate("[document.images.length, document.scripts.length,"
                                       " window.hit ?? null]"), [0, 1, None])


@with_browser
class Looks(Case):
    def shown(self, **look):
        server = self.server("--id-from .n --channel-from .room --event-from .kind")
        page = self.viewer(server, "since=earliest", **look)
        for number in range(1, 41):
            server.feed({"n": number, "room": ["kitchen.oven", "hall.door", "roof.wind.speed"]
                         [number % 3], "value": number * 1.25, "ts": int(time.time() * 1000),
                         "note": ["fine", "x" * 300, "a longer note that has some words"]
                         [number % 3]})
        self.received(page, 40)
        self.shows(page, 40)
        page.until("shownRates.some(rate => rate && !rate.startsWith('0 '))")
        return page

    def brightness(self, page, part="document.body"):
        return page.evaluate(
            f"getComputedStyle({part}).backgroundColor.match(/\\d+/g).slice(0, 3)"
            ".reduce((sum, part) => sum + Number(part), 0) / 3")

    def overflow(self, page):
        return page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def test_light_and_dark(self):
        page = self.shown()
        self.assertGreater(self.brightness(page), 200)
        page.screenshot(SCREENSHOTS / "viewer-light.png")
        page.look(1280, 800, "dark")
        self.assertLess(self.brightness(page), 60)
        page.screenshot(SCREENSHOTS / "viewer-dark.png")
        self.click(page, "theme")
        self.assertEqual(self.text(page, "theme"), "Theme: light")
        self.assertGreater(self.brightness(page), 200)
        self.click(page, "theme")
        self.assertLess(self.brightness(page), 60)
        self.assertTrue(page.evaluate("location.hash").endswith("theme=dark"))

    def test_a_phone(self):
        page = self.shown(**PHONE)
        self.assertEqual(self.overflow(page), 0)
        page.screenshot(SCREENSHOTS / "viewer-phone.png")
        for button in ["columns", "raw", "wrap"]:
            self.click(page, button)
            self.shows(page, 40)
            self.assertEqual(self.overflow(page), 0, button)
        self.assertEqual(page.evaluate(
            "document.getElementById('view').scrollWidth"
            " - document.getElementById('view').clientWidth"), 0)

    def test_everything_has_a_name(self):
        page = self.shown()
        unnamed = page.evaluate("""[...document.querySelectorAll("input, select, button")]
            .filter(part => !part.labels.length && !part.textContent.trim()).map(part => part.id)
        """)
        self.assertEqual(unnamed, [])
        self.assertEqual(page.evaluate(
            "document.querySelector('[aria-live]').textContent"), "Stream: open")


@with_browser
class Clients(Case):
    """What any page can do, without the viewer."""

    def client(self, server):
        return self.page(f"{server.url}/healthz")

    def test_event_source(self):
        server = self.server("--id-from .n --event-from .e --eof=stay --retry 200ms")
        server.count(1, 10)
        page = self.client(server)
        page.evaluate("""
            window.got = [];
            window.opened = 0;
            window.source = new EventSource("/events?since=earliest");
            source.onopen = () => { opened += 1; };
            source.onmessage = event => got.push([event.lastEventId, JSON.parse(event.data).n]);
            source.addEventListener("gap", event => got.push(["gap", event.data]));
        """)
        server.count(11, 40)
        page.until("got.length >= 40")
        server.stop(signal.SIGTERM)
        # It waits as long as the server told it at last, up to ten seconds.
        page.until("source.readyState === EventSource.CONNECTING")
        server = self.server("--id-from .n --eof=exit --retry 200ms", address=server.address)
        server.count(31, 60)
        page.until("opened === 2")
        server.count(61, 80)
        page.until("got.length >= 80")
        self.assertEqual(page.evaluate("got"), [[str(n), n] for n in range(1, 81)])
        streams = [answer for answer in page.responses if "/events" in answer["url"]]
        heads = [{name.lower(): value for name, value in answer["headers"].items()}
                 for answer in streams]
        self.assertEqual([head.get("content-encoding") for head in heads], ["gzip", "gzip"])
        self.assertEqual(heads[0]["content-type"].split(";")[0], "text/event-stream")
        page.evaluate("""
            window.last = null;
            source.addEventListener("end", event => { last = event.data; source.close(); });
        """)
        server.end()
        page.until("last")
        self.assertEqual(json.loads(page.evaluate("last")), {"reason": "eof"})
        self.assertEqual(server.ended(), 0)

    def test_event_source_with_names_and_channels(self):
        server = self.server("--id-from .n --event-from .e --channel-from .c")
        page = self.client(server)
        page.evaluate("""
            window.got = [];
            const source = new EventSource("/events?channel=a.*&channel=b&event=up&event=down");
            source.onopen = () => { window.ready = true; };
            for (const name of ["up", "down", "message"]) {
                source.addEventListener(name, event => got.push([name, event.lastEventId]));
            }
        """)
        page.until("window.ready")
        server.feed({"n": 1, "e": "up", "c": "a.x"}, {"n": 2, "e": "left", "c": "a.x"},
                    {"n": 3, "e": "down", "c": "b"}, {"n": 4, "e": "up", "c": "b.y"},
                    {"n": 5, "c": "b"}, {"n": 6, "e": "up"}, {"n": 7, "e": "down", "c": "a.y"})
        page.until("got.length >= 3")
        self.assertEqual(page.evaluate("got"), [["up", "1"], ["down", "3"], ["down", "7"]])

    def test_web_socket(self):
        server = self.server()
        server.count(1, 20)
        page = self.client(server)
        page.evaluate("""
            window.got = [];
            window.ending = null;
            window.socket = new WebSocket(`ws://${location.host}/ws?last_event_id=5`);
            socket.onmessage = event => got.push(JSON.parse(event.data));
            socket.onclose = event => { ending = [event.code, event.wasClean]; };
        """)
        server.count(21, 2000, text="the same text again and again")
        page.until("got.length >= 1995")
        self.assertEqual(page.evaluate("got.map(record => record.id)"), counted(6, 2000))
        self.assertEqual(page.evaluate("got[0]"), {"id": "6", "data": {"n": 6}})
        self.assertIn("permessage-deflate", page.evaluate("socket.extensions"))
        page.evaluate("""
            socket.send(JSON.stringify({ type: "ping", ref: 7 }));
            socket.send(JSON.stringify({ type: "history", since: "1997", ref: "h" }));
        """)
        page.until("got.length >= 1997")
        pong, history = page.evaluate("got.slice(-2)")
        self.assertEqual((pong["type"], pong["ref"], set(pong)),
                         ("pong", 7, {"type", "ref", "time"}))
        self.assertEqual((history["ref"], [record["id"] for record in history["events"]]),
                         ("h", counted(1998, 2000)))
        server.end()
        page.until("ending")
        self.assertEqual(page.evaluate("[got.at(-1), ending]"),
                         [{"event": "end", "data": {"reason": "eof"}}, [1001, True]])
        self.assertEqual(server.ended(), 0)

    def test_pages_of_other_origins(self):
        """The browser lets a page read what it may, and the server refuses it a WebSocket."""
        server, allowing = self.server(), self.server("--id-from .n --origin *")
        page = self.client(server)
        for other, wanted in [(self.server(), [False, False]), (allowing, [True, True])]:
            with self.subTest(wanted):
                other.count(1, 1)
                self.assertEqual(page.evaluate(f"""Promise.all([
                    new Promise(done => {{
                        const source = new EventSource("{other.url}/events?since=earliest");
                        source.onmessage = () => {{ source.close(); done(true); }};
                        source.onerror = () => {{ source.close(); done(false); }};
                    }}),
                    new Promise(done => {{
                        const url = "{other.url}/ws?since=earliest".replace("http", "ws");
                        const socket = new WebSocket(url);
                        socket.onmessage = () => {{ socket.close(); done(true); }};
                        socket.onerror = () => done(false);
                    }}),
                ])"""), wanted)
        # Its console says so; that is no fault of the page.
        page.errors.clear()
