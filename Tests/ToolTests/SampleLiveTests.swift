import Foundation
import Testing

/// stream-sample beside other programs: signals, a line now and then, intervals of the clock.
@Suite(.serialized) struct SampleLiveTests {
    /// A line of --keep shows that those before it were taken.
    private static let mark = "\"go\"\n"

    private func begin(_ arguments: String, _ text: String) throws -> Session {
        let session = try start("stream-sample", "--keep .=go \(arguments)")
        session.write(text + Self.mark)
        #expect(session.prints(Self.mark))
        return session
    }

    // MARK: Signals

    @Test(arguments: SampleMethods.holding) func theSampleSoFar(_ method: String) throws {
        let session = try begin(method, "1\n2\n")
        session.send(SIGUSR1)
        #expect(session.prints(Self.mark + "1\n2\n"))
        #expect(session.wait { $0.errors.hasSuffix("}\n") })
        #expect(object(session.errors)["records_in"] as? Int == 3)
        session.write("3\n")
        session.closeInput()
        let result = session.finish()
        #expect(result.text == Self.mark + "1\n2\n1\n2\n3\n")
        #expect(result.ending == .exit(0))
    }

    @Test func theSampleSoFarIsThatOfWhatCame() throws {
        let session = try begin("--lttb 2 -y .", "1\n2\n3\n")
        session.send(SIGUSR1)
        #expect(session.prints(Self.mark + "1\n3\n"))
        session.write("4\n5\n")
        session.closeInput()
        #expect(session.finish().text == Self.mark + "1\n3\n1\n5\n")
    }

    @Test func aMethodThatHoldsNothingHasNothingToShow() throws {
        let session = try start("stream-sample", "-p 1")
        session.write("1\n")
        #expect(session.prints("1\n"))
        session.send(SIGUSR1)
        #expect(session.wait { $0.errors.hasSuffix("}\n") })
        session.closeInput()
        #expect(session.finish().text == "1\n")
    }

    /// --shuffle took its random numbers from those that choose the next lines.
    @Test(arguments: ["-n 3", "-n 3 --shuffle", "-n 3 --weight .", "-n 1 --by . --shuffle"])
    func aRequestDoesNotChangeTheSample(_ method: String) throws {
        let digits = (1...9).map { "\($0)\n" }.joined()
        let more = (10...300).map { "\($0)\n" }.joined()
        let arguments = "\(method) --seed 4"
        let expected = try run("stream-sample", arguments, digits + more)
        let session = try begin(arguments, digits)
        session.send(SIGUSR1)
        #expect(session.wait { $0.output.count >= Self.mark.utf8.count + 6 })
        session.write(more)
        session.closeInput()
        #expect(session.finish().text.hasSuffix("\n" + expected.text))
    }

    /// With --invert what is sampled is not written, but it was counted each time as dropped.
    @Test(arguments: ["-n 3", "--latest .", "--lttb 2 -y ."])
    func aRequestIsNotCounted(_ method: String) throws {
        let session = try start("stream-sample", "\(method) --invert --header 1 --stats")
        session.write("h\n1\n2\n3\n4\n5\n")
        #expect(session.wait { $0.text.hasPrefix("h\n") })
        session.send(SIGUSR1)
        #expect(session.wait { $0.errors.hasSuffix("}\n") })
        session.closeInput()
        let result = session.finish()
        #expect(result.stats["dropped"] == 6 - Set(result.lines).count)
    }

    /// What "they would write if the input ended then" are with --invert the other lines.
    @Test func theInvertedSampleSoFar() throws {
        let session = try start("stream-sample", "--lttb 2 -y . --invert --header 1")
        session.write("y\n1\n2\n3\n4\n")
        #expect(session.prints("y\n"))
        session.send(SIGUSR1)
        #expect(session.prints("y\n2\n3\n"))
        session.closeInput()
        #expect(session.finish().text == "y\n2\n3\n2\n3\n")
    }

    @Test(arguments: SampleMethods.holding) func cutShort(_ method: String) throws {
        for number in [SIGTERM, SIGINT] {
            let session = try begin(method, "1\n2\n")
            session.write("3")
            session.send(number)
            let result = session.finish()
            #expect(result.text == Self.mark + "1\n2\n")
            #expect(result.ending == .signal(number))
            #expect(result.errors.isEmpty)
        }
    }

    @Test func cutShortBehindGzip() throws {
        let session = try start("stream-sample", "-n 2 -z --header 1")
        session.write("h\n1\n2\n")
        #expect(session.wait { $0.output.count > 10 })
        session.send(SIGTERM)
        let result = session.finish()
        #expect(result.ending == .signal(SIGTERM))
        #expect(try run("stream-sample", ["-p1"], result.output).text == "h\n1\n2\n")
    }

    @Test func theReaderIsGone() throws {
        for method in SampleMethods.holding {
            // Between its fork and its exec another test's child has our end of the pipe too.
            let isEnded = try (0..<9).contains { _ in
                let session = try start("stream-sample", method)
                session.closeOutput()
                session.write("1\n2\n")
                session.closeInput()
                let result = session.finish()
                #expect(result.errors.isEmpty)
                return result.ending == .signal(SIGPIPE)
            }
            #expect(isEnded)
        }
    }

    // MARK: A line now and then

    @Test(arguments: [
        "-p 1", "-p 1 --key .", "-p 1 --by .", "--nth 1", "--rate 1000000", "--rate 1000000 --pace",
        "--adapt 1000000", "--first .", "--distinct .", "--change .", "--change . --deadband 0.1",
        "-n 0 --invert", "-p 0 --invert --by .", "--first . --every 1h", "--adapt 99/s --time .",
        "-t --nth 1", "-p 0 --header 9", "--latest .k --invert",
        "--lttb 2 -y . --every 1s --time .",
    ]) func aLineIsWrittenBeforeTheNextOneComes(_ method: String) throws {
        let session = try start("stream-sample", method)
        var expected = ""
        // The line that gives way to another, or whose interval ends then.
        let isLate = method.contains("--latest") || method.contains("--lttb")
        for number in 1...4 {
            session.write("\(number)\n")
            if !isLate || number > 1 { expected += "\(isLate ? number - 1 : number)\n" }
            #expect(session.prints(expected))
        }
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    // MARK: --pace

    /// One line an hour: the first is out, and nothing else would come within the time limit.
    @Test(arguments: [SIGTERM, SIGINT]) func aPacedStreamEndsSoon(_ number: Int32) throws {
        let session = try start("stream-sample", "--rate 1/h --pace --stats")
        session.write("1\n2\n3\n4")
        #expect(session.prints("1\n"))
        session.send(number)
        let result = session.finish()
        #expect(result.text == "1\n2\n3\n")
        #expect(result.ending == .signal(number))
        #expect(result.addsUp() && result.stats["records_out"] == 3)
    }

    @Test func aBurstIsNotHeldBack() throws {
        let session = try start("stream-sample", "--rate 1/h --pace --burst 3")
        session.write("1\n2\n3\n4\n")
        #expect(session.prints("1\n2\n3\n"))
        session.send(SIGTERM)
        #expect(session.finish().text == "1\n2\n3\n4\n")
    }

    @Test func aLineWaitsForThoseBeforeIt() throws {
        let session = try start("stream-sample", "--rate 1/h --pace --by .k")
        let lines = ["{\"k\":1}\n", "{\"k\":2}\n", "{\"k\":1,\"n\":2}\n", "{\"k\":3}\n"]
        session.write(lines.joined())
        #expect(session.prints(lines[0] + lines[1]))
        session.send(SIGTERM)
        #expect(session.finish().text == lines.joined())
    }

    @Test(arguments: [
        ("", 0.2), ("--burst 3", 0.1), ("-z", 0.2), ("--metrics-file /dev/null", 0.2),
    ])
    func linesAreSpaced(_ options: String, _ seconds: Double) throws {
        let began = now()
        let result = try run("stream-sample", "--rate 20/s --pace \(options)", "1\n2\n3\n4\n5\n")
        #expect(now() - began >= seconds)
        #expect(result.ending == .exit(0))
        #expect(options == "-z" || result.text == "1\n2\n3\n4\n5\n")
    }

    /// The burst is 1 with --pace, but lines of 10 ms came at once.
    @Test func afterAPauseALineComesAlone() throws {
        let session = try start("stream-sample", "--rate 100/s --pace")
        session.write("1\n")
        #expect(session.prints("1\n"))
        usleep(30_000)
        let began = now()
        session.write("2\n3\n4\n5\n")
        #expect(session.prints("1\n2\n3\n4\n5\n"))
        #expect(now() - began >= 0.03)
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    /// They were those of before the first of the lines that are held.
    @Test func theCountersOfAPacedStream() throws {
        let session = try start("stream-sample", "--rate 1/m --pace")
        session.write("1\n2\n3\n")
        #expect(session.prints("1\n"))
        session.send(SIGUSR1)
        #expect(session.wait { $0.errors.hasSuffix("}\n") })
        let stats = object(session.errors)
        #expect(stats["output_bytes"] as? Int == 2)
        #expect(stats["records_out"] as? Int == 1)
        #expect(stats["records_in"] as? Int ?? 0 >= 1)
    }

    /// Of a stream without an end they were never told.
    @Test func keysThatWereForgottenAreCountedAtAnyTime() throws {
        let session = try start(
            "stream-sample", "--first .t --every 1s --time .t --max-keys 1 --keep .k=1 -q")
        session.write("{\"t\":2}\n{\"t\":1}\n{\"t\":3,\"k\":1}\n")
        #expect(session.wait { $0.lineCount == 3 })
        session.send(SIGUSR1)
        #expect(session.wait { $0.errors.hasSuffix("}\n") })
        let stats = object(session.errors)
        #expect(stats["records_in"] as? Int == 3)
        #expect(stats["evicted_keys"] as? Int == 1)
        #expect(stats["late"] as? Int == 1)
        #expect(stats["kept"] as? Int == 1)
    }
}

extension Session {
    fileprivate var lineCount: Int { output.count { $0 == 0x0A } }
}
