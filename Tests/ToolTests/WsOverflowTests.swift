import Foundation
import Testing

/// Lines that come while there is no connection.
@Suite struct WsOverflowTests {
    private static let options = "-t --reconnect --backoff 1ms..20ms --wait 0 --stats"

    /// A run whose input comes whole while nobody listens; then somebody does.
    private func comeUp(
        _ arguments: String, _ lines: ClosedRange<Int>, taken: Bool
    ) throws -> WsRun {
        let port = try unusedPort()
        let tool = try cat(words("\(Self.options) \(arguments) ws://127.0.0.1:\(port)/"))
        #expect(tool.says("Connection refused"))
        // Lines that are long enough to fill a pipe several times.
        let text = lines.map { "\($0) \(String(repeating: "x", count: 1000))\n" }.joined()
        let isTaken = taken ? tool.write(text) : !tool.stalls(with: text.utf8)
        #expect(isTaken == taken)
        tool.closeInput()
        if taken { try waitUntilTaken(tool, text.utf8.count) }
        let peer = try WsPeer(port: port)
        let connection = try peer.accept()
        // What was not taken goes down while the peer reads.
        #expect(tool.write([] as [UInt8]))
        let transcript = try connection.drain()
        return WsRun(result: tool.finish(), transcript: transcript)
    }

    private func waitUntilTaken(_ tool: Session, _ count: Int) throws {
        let limit = now() + patience
        var isTaken = false
        while !isTaken && now() < limit {
            tool.send(SIGUSR1)
            isTaken = tool.wait(seconds: 0.05) { $0.errors.contains("\"input_bytes\":\(count),") }
        }
        #expect(isTaken)
    }

    private func numbers(_ texts: [String]) -> [Int] {
        texts.compactMap { Int($0.prefix { $0.isNumber }) }
    }

    @Test func blockHoldsTheWriter() throws {
        let run = try comeUp("--buffer 10", 1...1500, taken: false)
        #expect(numbers(run.texts) == Array(1...1500))
        #expect(run.result.ending == .exit(0))
        #expect(run.result.counter("dropped") == 0)
        #expect(run.result.counter("sent") == 1500)
    }

    /// Bytes are counted, too, and one line always fits.
    @Test func blockByBytes() throws {
        let run = try comeUp("--buffer 1000000 --buffer-bytes 1", 1...1500, taken: false)
        #expect(numbers(run.texts) == Array(1...1500))
        #expect(run.result.ending == .exit(0))
    }

    @Test func dropOldest() throws {
        let run = try comeUp("--buffer 10 --overflow=drop-oldest", 1...500, taken: true)
        #expect(numbers(run.texts) == Array(491...500))
        #expect(run.result.ending == .exit(1))
        #expect(run.result.counter("dropped") == 490)
        #expect(run.result.counter("sent") == 10)
        #expect(run.result.errors.contains("ws-cat: 490 lines were dropped (see --overflow)\n"))
    }

    @Test func dropNewest() throws {
        let run = try comeUp("--buffer 10 --overflow=drop-newest", 1...500, taken: true)
        #expect(numbers(run.texts) == Array(1...10))
        #expect(run.result.ending == .exit(1))
        #expect(run.result.counter("dropped") == 490)
        #expect(run.result.counter("records_in") == 500)
        #expect(run.result.counter("sent") == 10)
    }

    @Test func spillKeepsTheOrder() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("spill")
        let run = try comeUp("--buffer 10 --overflow=spill:\(file)", 1...500, taken: true)
        #expect(numbers(run.texts) == Array(1...500))
        #expect(run.result.ending == .exit(0))
        #expect(run.result.counter("sent") == 500)
        #expect(run.result.counter("dropped") == 0)
        #expect(try folder.read("spill") == "")
    }

    /// What a run could not send is left in the file, and the next run sends it first.
    @Test(arguments: ["-t", "-d", "-r", "-t0"]) func theNextRunSendsTheRest(_ form: String) throws {
        let folder = try TemporaryFolder()
        let file = folder.file("spill")
        let port = try unusedPort()
        let end = form == "-t0" ? "\0" : "\n"
        let line = { (number: Int) in
            form == "-r" ? "{\"type\":\"text\",\"data\":\"\(number)\"}\(end)" : "\(number)\(end)"
        }
        let url = "ws://127.0.0.1:\(port)/"
        let options = "\(form) --reconnect --backoff 1ms..20ms --wait 0 --buffer 3 --stats"
        let tool = try cat(words("\(options) --overflow=spill:\(file) \(url)"))
        #expect(tool.says("Connection refused"))
        let text = (1...20).map(line).joined()
        tool.write(text)
        try waitUntilTaken(tool, text.utf8.count)
        tool.send(SIGTERM)
        let first = tool.finish()
        // Nothing is lost: it is in the file.
        #expect(first.ending == .exit(0) || first.ending == .signal(SIGTERM))
        let left = try folder.read("spill")
        #expect(left == text)
        let peer = try WsPeer(port: port)
        let second = try cat(words("\(options) --overflow=spill:\(file) \(url)"))
        second.write((21...23).map(line).joined())
        second.closeInput()
        let transcript = try peer.accept().drain()
        #expect(transcript.texts == (1...23).map { "\($0)" })
        #expect(second.finish().ending == .exit(0))
        #expect(try folder.read("spill") == "")
    }

    /// A binary record goes through the file, too.
    @Test func binaryRecordsAreSpilled() throws {
        let folder = try TemporaryFolder()
        let port = try unusedPort()
        let tool = try cat(
            words("-r --reconnect --backoff 1ms..20ms --wait 0 --buffer 1")
                + ["--overflow=spill:\(folder.file("spill"))", "ws://127.0.0.1:\(port)/"])
        #expect(tool.says("Connection refused"))
        let text = ["AP8=", "", "YQ=="].map { "{\"type\":\"binary\",\"data\":\"\($0)\"}\n" }
            .joined()
        tool.write(text)
        try waitUntilTaken(tool, text.utf8.count)
        tool.closeInput()
        let transcript = try WsPeer(port: port).accept().drain()
        #expect(transcript.messages == [[0, 255], [], [97]])
        #expect(transcript.frames.allSatisfy { $0.kind == .binary })
        #expect(tool.finish().ending == .exit(0))
    }

    @Test(arguments: ["/nonexistent/spill", "/dev/null"]) func aFileThatWillNotDo(
        _ path: String
    ) throws {
        let result = try run(
            "ws-cat", "--reconnect --overflow=spill:\(path) ws://127.0.0.1:1/", "1\n")
        #expect(result.ending == .exit(73))
        #expect(result.errors.contains(path))
    }

    /// Two runs wrote over each other's lines, sent them twice, or never ended.
    @Test func oneRunHasTheFile() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("spill")
        let url = "ws://127.0.0.1:\(try unusedPort())/"
        let options = "-t --reconnect --wait 0"
        let first = try cat(words("\(options) --overflow=spill:\(file) \(url)"))
        #expect(first.says("Connection refused"))
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("other"), withDestinationPath: file)
        for name in [file, folder.file("other")] {
            let second = try run("ws-cat", "\(options) --overflow=spill:\(name) \(url)", "1\n")
            #expect(second.ending == .exit(73))
            #expect(second.errors == "ws-cat: \(file): another run spills to it\n")
        }
        first.send(SIGTERM)
        _ = first.finish()
        let third = try cat(words("\(options) --overflow=spill:\(file) \(url)"))
        #expect(third.says("Connection refused"))
    }

    /// Lines that were read and have nowhere to go are told.
    @Test func unsent() throws {
        let port = try unusedPort()
        let tool = try cat(words("\(Self.options) ws://127.0.0.1:\(port)/"))
        #expect(tool.says("Connection refused"))
        tool.write("a\nb\n")
        try waitUntilTaken(tool, 4)
        tool.send(SIGTERM)
        let result = tool.finish()
        #expect(result.ending == .signal(SIGTERM))
        #expect(result.counter("unsent") == 2)
        #expect(result.errors.contains("ws-cat: 2 lines were read and not sent\n"))
    }
}
