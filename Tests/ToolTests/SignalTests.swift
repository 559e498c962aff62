import Glibc
import Testing

/// Signals, and what is out when.
@Suite(.serialized) struct SignalTests {
    @Test(arguments: [SIGTERM, SIGINT, SIGHUP]) func cutShort(_ number: Int32) throws {
        for (tool, arguments, input, output) in [
            ("sse-decode", "-d", "data: 1\n\ndata: 2", "1\n"),
            ("sse-encode", "-d", "1\n2", "data: 1\n\n"), ("stream-sample", "-p1", "1\n2", "1\n"),
            ("stream-batch", "-n1", "1\n2", "[1]\n"),
        ] {
            let session = try start(tool, arguments)
            session.write(input)
            #expect(session.prints(output))
            session.send(number)
            let result = session.finish()
            #expect(result.text == output)
            #expect(result.ending == .signal(number))
            #expect(result.errors.isEmpty)
        }
    }

    @Test func compressedOutputIsWholeAfterASignal() throws {
        let session = try start("sse-decode", "-d -z")
        session.write("data: 1\n\n")
        #expect(session.wait { $0.output.count > 12 })
        session.send(SIGTERM)
        let result = session.finish()
        #expect(result.ending == .signal(SIGTERM))
        let inflated = try run("sse-encode", ["-d"], result.output)
        #expect(inflated.text == "data: 1\n\n")
        #expect(inflated.ending == .exit(0))
    }

    @Test(arguments: [SIGTERM, SIGHUP])
    func whatIsHeldBackIsWrittenAfterASignal(_ number: Int32) throws {
        let session = try start("sse-decode", "-d --reorder .n --max-wait 60s")
        session.write("data: {\"n\":1}\n\ndata: {\"n\":3}\n\n")
        #expect(session.prints("{\"n\":1}\n"))
        session.send(number)
        let result = session.finish()
        #expect(result.text == "{\"n\":1}\n{\"n\":3}\n")
        #expect(result.ending == .signal(number))
    }

    @Test func aSignalIsNoCutOffStream() throws {
        let session = try start("sse-decode", "-d --until x --require-end")
        session.write("data: 1\n\n")
        #expect(session.prints("1\n"))
        session.send(SIGTERM)
        let result = session.finish()
        #expect(result.ending == .signal(SIGTERM))
        #expect(result.errors.isEmpty)
    }

    /// Ended by SIGHUP, a sample of an hour was lost when the terminal was closed.
    @Test func whatIsSampledIsWrittenAfterSIGHUP() throws {
        let session = try start("stream-sample", "-n 5 --header 1")
        session.write("0\n1\n2\n")
        #expect(session.prints("0\n"))
        session.send(SIGHUP)
        let result = session.finish()
        #expect(result.text == "0\n1\n2\n")
        #expect(result.ending == .signal(SIGHUP))
    }

    /// A script's background job has SIGINT ignored, what nohup(1) starts SIGHUP.
    @Test(arguments: [("INT", SIGINT), ("HUP", SIGHUP)])
    func whatWasIgnoredStaysSo(_ name: String, _ number: Int32) throws {
        for (tool, line, output) in [
            ("sse-decode -d", "data: 1\n\n", "1\n"), ("sse-encode -d", "1\n", "data: 1\n\n"),
            ("stream-sample -p1", "1\n", "1\n"), ("stream-batch -n1", "1\n", "[1]\n"),
            ("stream-batch -n1 -- cat", "1\n", "[1]\n"),
        ] {
            let session = try Session("/bin/sh", ["-c", "trap '' \(name); exec \(tool)"])
            session.write(line)
            #expect(session.prints(output))
            session.send(number)
            session.write(line)
            #expect(session.prints(output + output))
            session.closeInput()
            #expect(session.finish().ending == .exit(0))
        }
    }

    /// A command gets what nohup(1) said, too: it may outlive the terminal.
    @Test func commandsIgnoreSIGHUPToo() throws {
        let tell = "stream-batch -x 'grep SigIgn /proc/self/status'"
        let ignored = try shell("trap '' HUP; \(tell)", "1\n")
        let plain = try shell(tell, "1\n")
        let mask = { (result: Finished) in
            UInt64(result.text.split(whereSeparator: \.isWhitespace).last ?? "", radix: 16) ?? 0
        }
        #expect(mask(ignored) & 1 == 1, "\(ignored.text)")
        #expect(mask(plain) & 1 == 0, "\(plain.text)")
    }

    @Test func aReaderThatNeverReadsDoesNotKeepTheTool() throws {
        let pipe = try makePipe()
        let operands = String(repeating: "metrics.jsonl ", count: 30)
        let session = try start("sse-encode", "-d \(operands)", stdout: .descriptor(pipe.writing))
        #expect(session.isAsleep())
        let began = now()
        session.send(SIGTERM)
        #expect(session.waitForEnd() == .exit(143))
        #expect(now() - began >= 3)
        #expect(session.finish().errors.contains("output unwritten"))
        close(pipe.writing)
        close(pipe.reading)
    }

    @Test func aSecondSignalEndsItAtOnce() throws {
        let pipe = try makePipe()
        let operands = String(repeating: "metrics.jsonl ", count: 30)
        let session = try start("sse-encode", "-d \(operands)", stdout: .descriptor(pipe.writing))
        #expect(session.isAsleep())
        session.send(SIGTERM)
        #expect(session.isAsleep())
        // Sooner it would be taken for the same one, which timeout(1) sends twice.
        usleep(60_000)
        session.send(SIGINT)
        #expect(session.waitForEnd() == .exit(130))
        close(pipe.writing)
        close(pipe.reading)
    }

    /// A terminal that is closed has its shell send one, and sends one itself.
    @Test func aSecondSIGHUPIsNone() throws {
        let pipe = try makePipe()
        let operands = String(repeating: "metrics.jsonl ", count: 30)
        let session = try start("sse-encode", "-d \(operands)", stdout: .descriptor(pipe.writing))
        #expect(session.isAsleep())
        session.send(SIGHUP)
        #expect(session.isAsleep())
        // Sooner they would be taken for the same one.
        usleep(60_000)
        session.send(SIGHUP)
        usleep(60_000)
        session.send(SIGTERM)
        #expect(session.waitForEnd() == .exit(143))
        close(pipe.writing)
        close(pipe.reading)
    }

    @Test func aReaderThatComesBackGetsWhatWasAccepted() throws {
        let operands = String(repeating: "metrics.jsonl ", count: 30)
        let session = try start("sse-encode", "-d \(operands)")
        #expect(session.isAsleep())
        session.send(SIGTERM)
        #expect(session.isAsleep())
        let result = session.finish()
        #expect(result.ending == .signal(SIGTERM))
        #expect(result.text.hasSuffix("}\n\n"))
        #expect(result.output.count > 65536)
    }

    @Test func statsOnSIGUSR1() throws {
        for (tool, arguments, line, output) in [
            ("sse-decode", "-d", "data: 1\n\n", "1\n"),
            ("sse-encode", "-d", "1\n", "data: 1\n\n"), ("stream-sample", "-p1", "1\n", "1\n"),
            ("stream-batch", "-n1", "1\n", "[1]\n"),
        ] {
            let session = try start(tool, arguments)
            session.write(line)
            #expect(session.prints(output))
            session.send(SIGUSR1)
            #expect(session.wait { $0.errors.hasSuffix("}\n") })
            let stats = object(session.errors)
            #expect(stats["tool"] as? String == tool)
            #expect(stats["records_in"] as? Int == 1)
            #expect(stats["output_bytes"] as? Int == output.utf8.count)
            session.write(line)
            #expect(session.prints(output + output))
            session.closeInput()
            #expect(session.finish().ending == .exit(0))
        }
    }

    // MARK: Flushing

    @Test func aTrickleArrivesLineByLine() throws {
        for (tool, line, output) in [
            ("sse-decode", "data: 1\n\n", "1\n"), ("sse-encode", "1\n", "data: 1\n\n"),
            ("sse-decode", "data: 1\r\r", "1\n"),
        ] {
            let session = try start(tool, "-d")
            for count in 1...3 {
                session.write(line)
                #expect(session.prints(String(repeating: output, count: count)))
            }
            session.closeInput()
            #expect(session.finish().ending == .exit(0))
        }
    }

    @Test func aTrickleArrivesThroughGzip() throws {
        let session = try Session(
            "/bin/sh", ["-c", "sse-encode -d -z | sse-decode -d -z | stream-sample -z -p1 | zcat"])
        let relay = try Session(
            "/bin/sh", ["-c", "sse-encode -d -z | sse-decode -d -z | stream-sample -p1"])
        for count in 1...3 {
            relay.write("[\(count)]\n")
            #expect(relay.prints((1...count).map { "[\($0)]\n" }.joined()))
            session.write("[\(count)]\n")
        }
        session.closeInput()
        relay.closeInput()
        #expect(session.finish().text == "[1]\n[2]\n[3]\n")
        #expect(relay.finish().ending == .exit(0))
    }

    @Test func tokensFlow() throws {
        let session = try start("sse-decode", "-t --get .c")
        session.write("data: {\"c\":\"Hel\"}\n\n")
        #expect(session.prints("Hel"))
        session.write("data: {\"c\":\"lo\"}\n\n")
        #expect(session.prints("Hello"))
        session.closeInput()
        #expect(session.finish().text == "Hello")
    }
}
