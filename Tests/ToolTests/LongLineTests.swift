import Foundation
import Testing

/// A line of a gigabyte and an endless stream: memory stays bounded.
@Suite(.serialized) struct LongLineTests {
    private static let block = [UInt8](repeating: UInt8(ascii: "7"), count: 1 << 20)

    /// What the process has needed at the most, in KiB. (wait4's rusage counts its parent too.)
    private func peak(of session: Session) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(session.pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return try #require(Int(line.filter(\.isNumber)))
    }

    @Test(arguments: [
        ("sse-encode", "-d", "", "\n"), ("sse-decode", "-d", "data: ", "\n\n"),
        ("stream-sample", "-p 1", "", "\n"), ("stream-sample", "-p 1 --strict", "", "\n"),
        ("stream-batch", "-n 1", "", "\n"), ("stream-batch", "-t 1ms -k .", "", "\n"),
    ])
    func skipped(_ tool: String, _ form: String, _ begin: String, _ end: String) throws {
        let session = try start(tool, "\(form) --max-line=1M --on-error=skip")
        session.write(begin)
        for _ in 0..<1024 { session.write(Self.block) }
        session.write("\(end)\(begin)8\(end)")
        let expected = ["sse-encode": "data: 8\n\n", "stream-batch": "[8]\n"][tool] ?? "8\n"
        #expect(session.prints(expected))
        #expect(try peak(of: session) < 64 << 10)
        session.closeInput()
        let result = session.finish()
        #expect(result.ending == .exit(1))
        #expect(result.errors.contains(":1: "))
        #expect(result.errors.hasSuffix("\(tool): 1 rejected\n"))
    }

    @Test(arguments: [
        ("sse-encode", "-d", ""), ("sse-decode", "-d", "data: "), ("stream-sample", "-n 0", ""),
        ("stream-sample", "-p 0 -t", ""), ("stream-sample", "--latest .", ""),
        ("stream-batch", "", ""), ("stream-batch", "--text -k .", ""),
    ])
    func stops(_ tool: String, _ form: String, _ begin: String) throws {
        let session = try start(tool, "\(form) --max-line=1M")
        session.write(begin)
        for _ in 0..<4 { session.write(Self.block) }
        let result = session.finish()
        #expect(result.ending == .exit(65))
        #expect(result.errors.contains("longer than 1048576 bytes (see --max-line)"))
    }

    @Test func rejected() throws {
        let folder = try TemporaryFolder()
        let session = try start(
            "sse-encode", "-d --max-line=1M --rejects \(folder.file("rejects"))")
        for _ in 0..<64 { session.write(Self.block) }
        session.write("\n8\n")
        #expect(session.prints("data: 8\n\n"))
        #expect(try peak(of: session) < 64 << 10)
        session.closeInput()
        #expect(session.finish().ending == .exit(1))
        let line = object(try folder.read("rejects"))
        #expect((line["raw"] as? String)?.utf8.count == 1 << 20)
    }

    /// A user saw "Illegal instruction": the rest of the character was looked for in what had
    /// been given back.
    @Test func aReadThatEndsInsideACharacterOfALongEvent() throws {
        let session = try start("sse-decode", "-t --max-line=10 --on-error=skip")
        session.write(Array("data: 1234567890".utf8) + [0xE2, 0x98])
        #expect(session.wait { $0.errors.contains("longer than 10 bytes") })
        session.write([0x95] + Array("\n\ndata: x\n\n".utf8))
        #expect(session.prints("x\n"))
        session.closeInput()
        #expect(session.finish().ending == .exit(1))
        let end = try run(
            "sse-decode", ["--max-line=10", "--on-error=skip"],
            Array("data: 1234567890".utf8) + [0xE2])
        #expect(end.ending == .exit(1))
    }

    /// Some servers keep a connection with comment lines and no blank line behind them.
    @Test func commentsWithoutBlankLinesAreNoLongEvent() throws {
        let comments = String(repeating: ": keep-alive\n", count: 1000)
        let result = try run("sse-decode", "-d --max-line=1K", comments + "\ndata: 1\n\n")
        #expect(result.text == "1\n")
        #expect(result.ending == .exit(0))
    }

    @Test func aLineJustBelowTheLimitPasses() throws {
        let session = try start("sse-encode", "-d --max-line=8M")
        for _ in 0..<8 { session.write(Self.block) }
        session.closeInput()
        let result = session.finish()
        #expect(result.ending == .exit(0))
        #expect(result.output.count == (8 << 20) + 8)
    }

    /// What is held is counted in lines or in keys, of which more come than --max-keys.
    @Test(arguments: [
        "-n 1000", "-n 1000 --weight .n", "-n 100 --invert", "-p 0.5", "-p 0.5 --key .k",
        "--nth 3", "--rate 1000/s", "--adapt 1000/s", "--distinct .k", "--change .n",
        "--first .k --every 1ms", "--latest .k", "-n 2 --by .k", "--rate 1/s --by .k",
        "--nth 2 --by .k --annotate r", "--lttb 9 -y .n --by .k", "-n 99 --every 1ms",
        "--latest .k --max-memory 64K",
    ])
    func memoryDoesNotGrowWithWhatIsSampled(_ method: String) throws {
        let lines = (0..<20_000).map { "{\"n\":\($0),\"k\":\"some words and \($0)\"}\n" }
        let block = Array(lines.joined().utf8)
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        defer { close(null) }
        let session = try start(
            "stream-sample", "\(method) --max-keys 1000 -q", stdout: .descriptor(null))
        for _ in 0..<6 { session.write(block) }
        #expect(try peak(of: session) < 8 << 10)
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    /// Many lines, keys, windows and held lines: what is open is bounded by --max-keys and
    /// --max-memory, and what was written is gone.
    @Test(arguments: [
        "-n 1000", "-b 64K -f lines", "-n 100 -f object -k .k", "-t 1ms", "-i 1ms", "--when .n=9",
        "-k .k --max-memory 1M", "--max-memory 1M", "--when-changed .k", "-n 10 --join-chunks",
        "--time .n -t 10s", "--time .n -t 10s --sliding 1s", "--time .k -i 10s --on-error=skip",
        "--time .n -i 2s -k .k", "--dedup .k --dedup-keys 1000 -n 10", "--reorder .n -n 10",
        "--reorder .k -n 10", "-z -n 10",
    ])
    func memoryDoesNotGrowWithTheBatches(_ options: String) throws {
        let lines = (0..<20_000).map { "{\"n\":\($0),\"k\":\"some words and \($0)\"}\n" }
        let block = Array(lines.joined().utf8)
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        defer { close(null) }
        let session = try start(
            "stream-batch", "\(options) --max-keys 1000 -q", stdout: .descriptor(null))
        for _ in 0..<6 { session.write(block) }
        #expect(try peak(of: session) < 12 << 10)
        session.closeInput()
        // The numbers begin again: such lines are late.
        let isPartial = options.contains("skip") || options.contains("--time .n")
        #expect(session.finish().ending == .exit(isPartial ? 1 : 0))
    }

    @Test(arguments: ["-r", "-d", "-j", "-t", "-z"])
    func memoryDoesNotGrowWithTheStream(_ form: String) throws {
        let event = "data: {\"content\":\"some words of an answer\"}\n\n"
        let block = Array(String(repeating: event, count: 20_000).utf8)
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        defer { close(null) }
        let session = try start("sse-decode", form, stdout: .descriptor(null))
        for _ in 0..<64 { session.write(block) }
        #expect(try peak(of: session) < 24 << 10)
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }
}
