import Glibc
import Testing

/// stream-batch: what the clock closes, while nothing or more comes.
@Suite(.serialized) struct BatchLiveTests {
    @Test(arguments: ["-t 50ms", "-i 50ms", "-t 1h -i 50ms", "-i 1h -t 50ms", "-n 9 -b 1K -t 50ms"])
    func firesWithoutFurtherInput(_ options: String) throws {
        let session = try start("stream-batch", options)
        session.write("1\n")
        #expect(session.prints("[1]\n"))
        session.write("2\n")
        #expect(session.prints("[1]\n[2]\n"))
        session.closeInput()
        let result = session.finish()
        #expect(result.text == "[1]\n[2]\n")
        #expect(result.ending == .exit(0))
    }

    /// If the time began again with each line, nothing would come as long as lines do.
    @Test func theAgeIsThatOfTheFirstLine() throws {
        let session = try start("stream-batch", "-t 300ms")
        var count = 0
        while session.output.isEmpty && count < 1000 {
            session.write("\(count)\n")
            count += 1
            _ = session.wait(seconds: 0.02) { !$0.output.isEmpty }
        }
        #expect(session.text.hasPrefix("[0"))
        #expect(count < 1000)
    }

    @Test func noLineIsOlderThanTheAge() throws {
        let session = try start("stream-batch", "-t 100ms -f object")
        for number in 0..<200 {
            session.write("{\"i\":\(number)}\n")
            if number % 10 == 9 { usleep(20_000) }
        }
        session.closeInput()
        let batches = try BatchObject.parse(session.finish().text)
        #expect(batches.count > 1)
        #expect(batches.allSatisfy { (0...100).contains($0.to - $0.from) })
        #expect(batches.flatMap(\.items) == Array(0..<200))
        for (one, next) in zip(batches, batches.dropFirst()) { #expect(one.to <= next.from) }
    }

    /// Lines that come more often than -i keep their batch open.
    @Test func aLineBeginsTheIdleTimeAnew() throws {
        let lines = (0..<20).map { "\($0)" }
        // Where the machine was too slow for the interval, a longer one.
        for milliseconds: UInt32 in [200, 1000, 4000] {
            let session = try start("stream-batch", "-i \(milliseconds)ms")
            for line in lines {
                session.write(line + "\n")
                usleep(milliseconds * 100)
            }
            if session.prints(Batches.array(lines)) { return }
        }
        Issue.record("the batch was cut while lines came")
    }

    @Test func keysAgeByThemselves() throws {
        let session = try start("stream-batch", "-k . -t 300ms")
        session.write("1\n")
        usleep(100_000)
        session.write("2\n")
        #expect(session.prints("[1]\n[2]\n"))
        session.write("2\n1\n")
        #expect(session.prints("[1]\n[2]\n[2]\n[1]\n"))
    }

    @Test func aClosedBatchIsWrittenAtOnce() throws {
        for (options, line, output) in [
            ("-n 2", "1\n2\n3\n", "[1,2]\n"), ("-b 4", "1\n2\n", "[1]\n[2]\n"),
            ("--when .=1 -f lines", "1\n2\n", "1\n\n"), ("--when-changed .", "1\n2\n", "[1]\n"),
            ("--time . -t 10s", "1\n10\n", "[1]\n"), ("--time . -i 10s", "1\n11\n", "[1]\n"),
            ("-k . --max-keys 1 -q", "1\n2\n", "[1]\n"),
        ] {
            let session = try start("stream-batch", options)
            session.write(line)
            #expect(session.prints(output), "\(options)")
        }
    }

    // MARK: --sliding by the clock

    @Test func windowsOfTheClockSlide() throws {
        let session = try start("stream-batch", "-t 400ms --sliding 100ms -f object")
        session.write("{\"i\":1}\n")
        #expect(session.wait { $0.text.split(separator: "\n").count == 4 })
        let batches = try BatchObject.parse(session.text)
        for (index, batch) in batches.enumerated() {
            #expect(batch.items == [1])
            #expect(batch.from % 100 == 0 && batch.to - batch.from == 400)
            #expect(batch.from == batches[0].from + 100 * index)
        }
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test func windowsOfTheClockEndWithTheInput() throws {
        let result = try run(
            "stream-batch", "-t 2h --sliding 1h -f object", "{\"i\":1}\n{\"i\":2}\n")
        let batches = try BatchObject.parse(result.text)
        // Unless the hour began between the two lines.
        #expect(batches.count == 2 || batches.count == 3)
        #expect(batches.flatMap(\.items).sorted() == [1, 1, 2, 2])
        #expect(batches.allSatisfy { $0.from % 3_600_000 == 0 && $0.to - $0.from == 7_200_000 })
    }

    // MARK: Signals

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP]) func whatIsOpenIsWritten(_ number: Int32) throws {
        for (options, lines, before, after) in [
            ("-n 2", "1\n2\n3\n4", "[1,2]\n", "[3]\n"),
            ("-k . -n 2", "1\n1\n3\n2\n", "[1,1]\n", "[3]\n[2]\n"),
            ("--time . -t 10s", "1\n11\n12\n", "[1]\n", "[11,12]\n"),
            ("--time . -i 10s", "1\n11\n12\n", "[1]\n", "[11,12]\n"),
            ("--reorder . --max-wait 1h --when .=1", "1\n4\n3\n", "[1]\n", "[3,4]\n"),
        ] {
            let session = try start("stream-batch", options + " -q")
            session.write(lines)
            #expect(session.prints(before), "\(options)")
            session.send(number)
            let result = session.finish()
            #expect(result.text == before + after, "\(options)")
            #expect(result.ending == .signal(number))
            #expect(result.errors.isEmpty)
        }
    }

    /// Nobody is to blame for chunks that did not come because the tool was stopped.
    @Test func chunksAreNotMissingBehindASignal() throws {
        let session = try start("stream-batch", "--join-chunks -n 1")
        session.write(
            "1\n" + #"{"type":"chunk","id":1,"seq":0,"total":2,"data":"x"}"# + "\n")
        #expect(session.prints("[1]\n"))
        session.send(SIGTERM)
        let result = session.finish()
        #expect(result.ending == .signal(SIGTERM))
        #expect(result.errors.isEmpty)
    }

    // MARK: Stages by the clock

    @Test func reorderWaitsNoLonger() throws {
        let session = try start("stream-batch", "--reorder . --max-wait 100ms -n 1")
        session.write("1\n3\n")
        #expect(session.prints("[1]\n[3]\n"))
        #expect(
            session.wait { $0.errors == "stream-batch: -:2: number 2 is missing\n" })
        session.write("2\n4\n")
        #expect(session.prints("[1]\n[3]\n[2]\n[4]\n"))
        session.closeInput()
        #expect(session.finish().ending == .exit(0))
    }

    @Test func dedupForgetsByTheClock() throws {
        let session = try start("stream-batch", "--dedup . --dedup-for 100ms -n 1")
        session.write("1\n1\n1\n")
        #expect(session.prints("[1]\n"))
        usleep(150_000)
        session.write("1\n")
        #expect(session.prints("[1]\n[1]\n"))
        let long = try run("stream-batch", "--dedup . --dedup-for 1h", "1\n1\n2\n1\n")
        #expect(long.text == "[1,2]\n")
    }

    @Test func aBatchOfHeldLinesAgesFromWhenTheyAreLetGo() throws {
        let session = try start("stream-batch", "--reorder . --max-wait 100ms -t 100ms -q")
        session.write("5\n4\n")
        #expect(session.prints("[4,5]\n"))
    }

    @Test func compressedBatchesArriveWhenTheyClose() throws {
        let session = try Session("/bin/sh", ["-c", "stream-batch -z -n 1 | zcat"])
        let relay = try Session("/bin/sh", ["-c", "stream-batch -z -n 1 | stream-batch -n 1"])
        for count in 1...3 {
            relay.write("\(count)\n")
            #expect(relay.prints((1...count).map { "[[\($0)]]\n" }.joined()))
            session.write("\(count)\n")
        }
        session.closeInput()
        relay.closeInput()
        #expect(session.finish().text == "[1]\n[2]\n[3]\n")
        #expect(relay.finish().ending == .exit(0))
    }
}
