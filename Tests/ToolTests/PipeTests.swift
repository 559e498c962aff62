import Glibc
import Testing

/// Descriptors as the world hands them out: full, closed, non-blocking, slow.
@Suite(.serialized) struct PipeTests {
    private static let full = "standard output: No space left on device\n"

    @Test func aFullDevice() throws {
        for tool in [
            "sse-encode -d agent.jsonl", "sse-decode prices.sse", "sse-decode -z prices.sse",
            "stream-sample -p1 agent.jsonl", "stream-sample -n1 agent.jsonl",
            "stream-sample -z --latest .type agent.jsonl",
            "stream-sample --rate 9 --pace agent.jsonl", "stream-batch agent.jsonl",
            "stream-batch -n1 agent.jsonl", "stream-batch -z -k .type agent.jsonl",
            "stream-batch -t 1ms agent.jsonl -",
        ] {
            let result = try shell("\(tool) > /dev/full")
            #expect(result.ending == .exit(74))
            #expect(result.errors == "\(tool.prefix { $0 != " " }): \(Self.full)")
        }
    }

    /// A trickle leaves its pipe as it is: what the system allows a user is for others, too.
    @Test(arguments: [("1\n", false), (String(repeating: "1\n", count: 60_000), true)])
    func onlyABurstEnlargesItsPipe(_ text: String, _ isEnlarged: Bool) throws {
        let ends = try makePipe()
        defer { close(ends.writing) }
        let session = try start("stream-sample", "-p1", stdin: .descriptor(ends.reading))
        close(ends.reading)
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let size = rest.withUnsafeBytes { write(ends.writing, $0.baseAddress, $0.count) }
            try #require(size > 0)
            rest = rest.dropFirst(size)
        }
        #expect(session.prints(text))
        // F_GETPIPE_SZ of linux/fcntl.h.
        #expect((fcntl(ends.writing, 1032) > 64 << 10) == isEnlarged)
    }

    @Test func closedStandardInput() throws {
        for (tool, arguments) in [
            ("sse-encode", ""), ("sse-decode", ""), ("stream-sample", "-n1"), ("stream-batch", ""),
        ] {
            let session = try start(tool, arguments, stdin: .closed)
            let result = session.finish()
            #expect(result.ending == .exit(74))
            #expect(result.errors == "\(tool): -: Bad file descriptor\n")
        }
        #expect(try shell("sse-decode -d -n1 prices.sse <&-").ending == .exit(0))
    }

    @Test func closedStandardOutput() throws {
        let result = try start("sse-decode", "prices.sse", stdout: .closed).finish()
        #expect(result.ending == .exit(74))
        #expect(result.errors == "sse-decode: standard output: Bad file descriptor\n")
    }

    @Test func filesDoNotBecomeStandardDescriptors() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("rejects")
        let session = try start(
            "sse-encode", "-d --rejects \(file) page.html", stdin: .closed, stdout: .closed,
            stderr: .closed)
        #expect(session.finish().ending == .exit(1))
        #expect(try isJSONLines(folder.read("rejects")))
    }

    /// systemd starts services with SIGPIPE ignored.
    @Test(arguments: ["", "trap '' PIPE; "]) func theReaderIsGone(_ trap: String) throws {
        for (command, line) in [
            ("sse-encode -d", "1\n"), ("sse-decode -d", "data: 1\n\n"),
            ("sse-decode -d -z", "data: 1\n\n"), ("stream-sample -p1", "1\n"),
            ("stream-sample --latest . --every 1ms", "1\n"), ("stream-batch -n1", "1\n"),
            ("stream-batch -t 1ms", "1\n"), ("stream-batch -z -n1", "1\n"),
        ] {
            let session = try Session("/bin/sh", ["-c", "\(trap)exec \(command)"])
            session.closeOutput()
            // Between its fork and its exec another test's child has our end of the pipe too.
            let limit = now() + patience
            repeat {
                session.write(line)
            } while session.waitForEnd(seconds: 0.02) == nil && now() < limit
            let result = session.finish()
            #expect(result.ending == .signal(SIGPIPE))
            #expect(result.errors.isEmpty)
        }
    }

    @Test func headTakesOneLine() throws {
        let result = try shell("yes '{}' | sse-encode -d | head -1")
        #expect(result.text == "data: {}\n")
        #expect(result.ending == .exit(0))
        #expect(result.errors.isEmpty)
    }

    @Test func aSlowReaderGetsEverything() throws {
        let operands = String(repeating: "openai.sse ", count: 20)
        let expected = try run("sse-decode", operands).output
        let pipe = try makePipe()
        let session = try start("sse-decode", operands, stdout: .descriptor(pipe.writing))
        close(pipe.writing)
        #expect(readSlowly(pipe.reading) == expected)
        #expect(session.finish().ending == .exit(0))
    }

    /// Batches wait for it, too.
    @Test(arguments: ["-n 3 -k .remote", "-t 1h -b 4K -f object --time .time", "-n 100000 -z"])
    func aSlowReaderGetsEveryBatch(_ options: String) throws {
        let operands = String(repeating: "access.jsonl ", count: 20)
        let arguments = "-q \(options) \(operands)"
        let expected = try run("stream-batch", arguments).output
        let pipe = try makePipe()
        let session = try start("stream-batch", arguments, stdout: .descriptor(pipe.writing))
        close(pipe.writing)
        #expect(readSlowly(pipe.reading) == expected)
        #expect(session.finish().ending == .exit(0))
    }

    /// Nothing is dropped for it; nor does what comes by the clock.
    @Test(arguments: [
        "-p 1", "-n 1000000", "--latest .request_id,.n --every 1ms", "--rate 1000000000",
    ])
    func aSlowReaderGetsTheWholeSample(_ method: String) throws {
        let lines = try (0..<20).flatMap { number in
            try Files.sample("access.jsonl").split(separator: "\n").map {
                "\($0.dropLast()),\"n\":\(number)}\n"
            }
        }
        let folder = try TemporaryFolder()
        let file = try folder.write(lines.joined(), to: "lines")
        let pipe = try makePipe()
        let session = try start(
            "stream-sample", "\(method) \(file)", stdout: .descriptor(pipe.writing))
        close(pipe.writing)
        #expect(String(decoding: readSlowly(pipe.reading), as: UTF8.self) == lines.joined())
        #expect(session.finish().ending == .exit(0))
    }

    private func readSlowly(_ descriptor: Int32) -> [UInt8] {
        defer { close(descriptor) }
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let size = read(descriptor, &buffer, buffer.count)
            if size <= 0 { return all }
            all += buffer[..<size]
            usleep(500)
        }
    }

    @Test(arguments: [
        ("sse-decode", ""), ("sse-encode", "-t"), ("stream-sample", "-tp1"),
        ("stream-batch", "--text -n 3"),
    ])
    func nonBlockingPipes(_ tool: String, _ arguments: String) throws {
        let input = try makePipe()
        let output = try makePipe()
        setFlag(O_NONBLOCK, of: input.reading)
        setFlag(O_NONBLOCK, of: output.writing)
        let text = String(repeating: try Files.sample("prices.sse"), count: 100)
        let expected = try run(tool, arguments, text).output
        let session = try start(
            tool, arguments, stdin: .descriptor(input.reading),
            stdout: .descriptor(output.writing))
        // More than a pipe holds, while the tool meets an empty and then a full pipe.
        #expect(session.isAsleep())
        let writer = Thread { _ = writeAll(Array(text.utf8), to: input.writing) }
        #expect(session.isAsleep())
        let result = readAll(output.reading, count: expected.count)
        #expect(result == expected)
        writer.join()
        #expect(session.finish().ending == .exit(0))
        #expect(hasFlag(O_NONBLOCK, input.reading))
        #expect(hasFlag(O_NONBLOCK, output.writing))
        for end in [input.reading, output.writing, output.reading] { close(end) }
    }

    @Test func blockingPipesStayBlocking() throws {
        let input = try makePipe()
        let output = try makePipe()
        let session = try start(
            "sse-decode", "-d", stdin: .descriptor(input.reading),
            stdout: .descriptor(output.writing))
        #expect(writeAll(Array("data: 1\n\n".utf8), to: input.writing, closes: false))
        #expect(readAll(output.reading, count: 2) == Array("1\n".utf8))
        #expect(!hasFlag(O_NONBLOCK, input.reading))
        #expect(!hasFlag(O_NONBLOCK, output.writing))
        close(input.writing)
        #expect(session.finish().ending == .exit(0))
        #expect(!hasFlag(O_NONBLOCK, output.writing))
        for end in [input.reading, output.writing, output.reading] { close(end) }
    }

    @Test func noDescriptorsAreLeftOpenOverManyInputs() throws {
        let operands = String(repeating: "prices.sse ", count: 200)
        let result = try shell("ulimit -n 24; sse-decode -d -e status \(operands)")
        #expect(result.ending == .exit(0))
        #expect(result.lines.count == 400)
    }
}

/// A thread of its own, for what blocks.
private final class Thread {
    private var thread = pthread_t()

    init(_ body: @escaping () -> Void) {
        let box = Unmanaged.passRetained(Box(body))
        pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
    }

    func join() { pthread_join(thread, nil) }

    private final class Box {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
}

/// Writes to a blocking descriptor and closes it.
private func writeAll(_ bytes: [UInt8], to descriptor: Int32, closes: Bool = true) -> Bool {
    defer { if closes { close(descriptor) } }
    var rest = bytes[...]
    while !rest.isEmpty {
        let size = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if size < 0 { return false }
        rest = rest.dropFirst(size)
    }
    return true
}

private func readAll(_ descriptor: Int32, count: Int) -> [UInt8] {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while all.count < count {
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&ready, 1, Int32(patience * 1000)) == 1 else { return all }
        let size = read(descriptor, &buffer, buffer.count)
        if size <= 0 { return all }
        all += buffer[..<size]
    }
    return all
}
