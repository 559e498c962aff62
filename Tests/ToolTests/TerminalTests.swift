import Glibc
import Testing

/// What depends on where standard error leads: a terminal, the journal, a pipe.
@Suite struct TerminalTests {
    /// The two sides of a terminal.
    struct Terminal {
        let screen: Int32
        let device: Int32

        init() throws {
            screen = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
            var number: UInt32 = 0
            var unlocked: Int32 = 0
            let getNumber: UInt = 0x8004_5430  // TIOCGPTN
            let setLock: UInt = 0x4004_5431  // TIOCSPTLCK
            guard screen >= 0, ioctl(screen, getNumber, &number) == 0,
                ioctl(screen, setLock, &unlocked) == 0
            else { throw SpawnError(code: errno) }
            device = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
            guard device >= 0 else { throw SpawnError(code: errno) }
        }

        /// What it shows within so many seconds, or until it shows `text`.
        func shown(until text: String, within seconds: Double = patience) -> String {
            read(screen, until: text, within: seconds)
        }

        func close() {
            Glibc.close(screen)
            Glibc.close(device)
        }
    }

    @Test func colourOnATerminal() throws {
        for (environment, isColoured) in [
            ([:], true), (["NO_COLOR": "1"], false), (["NO_COLOR": ""], true),
        ] {
            let terminal = try Terminal()
            defer { terminal.close() }
            let session = try start(
                "sse-encode", "-d", stderr: .descriptor(terminal.device), environment: environment)
            session.write("x\n")
            let text = terminal.shown(until: "line)\r\n")
            #expect(text.contains("\u{1B}[1msse-encode:\u{1B}[0m -:1:1: ") == isColoured)
            #expect(text.contains("-:1:1: expected a JSON value (--text takes any line)\r\n"))
            #expect(session.finish().ending == .exit(65))
        }
    }

    @Test func noColourElsewhere() throws {
        #expect(try !run("sse-encode", "-d", "x").errors.contains("\u{1B}"))
        #expect(try !run("sse-encode", "--help").text.contains("\u{1B}"))
    }

    /// A pipe may lead to a program that writes on the same terminal, which the line tore up.
    @Test func progressByItselfOnATerminal() throws {
        let terminal = try Terminal()
        defer { terminal.close() }
        let folder = try TemporaryFolder()
        let file = open(folder.file("out"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        let session = try start(
            "sse-decode", "-d", stdout: .descriptor(file), stderr: .descriptor(terminal.device))
        session.write("data: 1\n\n")
        let text = terminal.shown(until: ", 1 records")
        #expect(text.contains("\r\u{1B}[Ksse-decode: 9 B, 1 records"))
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
        #expect(terminal.shown(until: "\r\u{1B}[K").hasSuffix("\r\u{1B}[K"))
    }

    @Test(arguments: ["--no-progress", "-q"]) func noProgress(_ option: String) throws {
        let terminal = try Terminal()
        defer { terminal.close() }
        let session = try start("sse-decode", "-d \(option)", stderr: .descriptor(terminal.device))
        session.write("data: 1\n\n")
        #expect(terminal.shown(until: "records", within: 0.5).isEmpty)
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test func noProgressWhenOutputIsAPipe() throws {
        let terminal = try Terminal()
        defer { terminal.close() }
        let session = try start("sse-decode", "-d", stderr: .descriptor(terminal.device))
        session.write("data: 1\n\n")
        #expect(terminal.shown(until: "records", within: 0.5).isEmpty)
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    /// What came from the peer was not counted.
    @Test func progressOfBothDirections() throws {
        let peer = try WsPeer()
        let tool = try cat("-t --progress --wait 0", peer)
        let connection = try peer.accept()
        tool.write("abc\n")
        #expect(try connection.next()?.text == "abc")
        connection.send("12345")
        #expect(tool.wait { $0.errors.contains("ws-cat: 4 B, 1 records in; 6 B, 1 records out, ") })
        tool.closeInput()
        #expect(try connection.drain().close?.code == 1000)
        #expect(tool.finish().ending == .exit(0))
    }

    @Test func noProgressWhenOutputIsTheTerminal() throws {
        let terminal = try Terminal()
        defer { terminal.close() }
        let session = try start(
            "sse-decode", "-d", stdout: .descriptor(terminal.device),
            stderr: .descriptor(terminal.device))
        session.write("data: 1\n\n")
        #expect(terminal.shown(until: "records", within: 0.5) == "1\r\n")
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test func progressWhereItIsAskedFor() throws {
        let session = try start("sse-decode", "-d --progress")
        session.write("data: 1\n\n")
        #expect(session.wait { $0.errors.contains("9 B, 1 records, ") })
        session.write("data: 2\n\n")
        #expect(session.prints("1\n2\n"))
        #expect(session.wait { $0.errors.contains("18 B, 2 records, ") })
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
        #expect(session.text == "1\n2\n")
    }

    @Test func aDiagnosticTakesTheProgressLineAway() throws {
        let session = try start("sse-encode", "-d --progress --on-error=skip")
        session.write("1\n")
        #expect(session.wait { $0.errors.contains("records") })
        session.write("x\n")
        #expect(session.wait { $0.errors.contains("\r\u{1B}[Ksse-encode: -:2:1: ") })
        session.closeInput()
        #expect(session.finish().ending == .exit(1))
    }

    // MARK: The journal

    private func inJournal(_ arguments: String, _ input: String, matches: Bool) throws -> String {
        let pipe = try makePipe()
        defer { close(pipe.reading) }
        var status = stat()
        #expect(fstat(pipe.writing, &status) == 0)
        let inode = matches ? status.st_ino : status.st_ino + 1
        let session = try start(
            "sse-encode", arguments, stderr: .descriptor(pipe.writing),
            environment: ["JOURNAL_STREAM": "\(status.st_dev):\(inode)"])
        close(pipe.writing)
        session.write(input)
        session.closeInput()
        _ = session.finish()
        return read(pipe.reading, until: "\0", within: patience)
    }

    @Test func prioritiesForTheJournal() throws {
        let text = try inJournal("-dv --on-error=skip - none", "1\nx\n", matches: true)
        #expect(text.hasPrefix("<6>sse-encode: reading -\n<4>sse-encode: -:2:1: expected a"))
        #expect(text.contains("\n<3>sse-encode: none: No such file or directory\n"))
        let lines = text.split(separator: "\n")
        #expect(lines.allSatisfy { $0.wholeMatch(of: /<[346]>sse-encode: .*/) != nil })
    }

    @Test func noPrioritiesForAnotherStream() throws {
        let text = try inJournal("-d", "x\n", matches: false)
        #expect(text == "sse-encode: -:1:1: expected a JSON value (--text takes any line)\n")
    }

    @Test func noPrioritiesInJSON() throws {
        let text = try inJournal("-d --log-format=json", "x\n", matches: true)
        #expect(object(text)["level"] as? String == "error")
    }
}

/// What can be read until `text` came, the end, or the time.
private func read(_ descriptor: Int32, until text: String, within seconds: Double) -> String {
    let limit = now() + seconds
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while now() < limit, !String(decoding: bytes, as: UTF8.self).contains(text) {
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&ready, 1, Int32((limit - now()) * 1000) + 1) == 1 else { continue }
        let size = Glibc.read(descriptor, &buffer, buffer.count)
        if size <= 0 { break }
        bytes += buffer[..<size]
    }
    return String(decoding: bytes, as: UTF8.self)
}
