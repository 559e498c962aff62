import Glibc
import Testing

/// stream-batch --resume, and what lines look like that come out of the journal again.
@Suite struct JournalResumeTests {
    private let place: Workplace

    init() throws { place = try Workplace() }

    private func deliver(_ options: String, _ input: String = "") throws -> String {
        let result = try place.run("-n 2 -f lines --journal j \(options)", "cat", input)
        #expect(result.ending == .exit(0), "\(result.errors)")
        return result.text
    }

    @Test func goesOnWhereItWas() throws {
        _ = try place.folder.write("1\n2\n3", to: "log")
        #expect(try deliver("--resume log") == "1\n2\n")
        #expect(try deliver("--resume log") == "")
        // What had no line feed is the beginning of a line.
        _ = try place.shell("printf '0\\n4\\n' >> log")
        #expect(try deliver("--resume log") == "30\n4\n")
    }

    @Test func goesOnBehindARotation() throws {
        _ = try place.folder.write("1\n2\n", to: "log")
        #expect(try deliver("--resume log") == "1\n2\n")
        _ = try place.shell("echo 3 >> log; mv log log.1; echo 4 > log")
        // A run that comes between the two does not forget the one that it does not read.
        #expect(try deliver("--resume log") == "4\n")
        #expect(try deliver("--resume log.1 log") == "3\n")
        #expect(try deliver("--resume log.1 log") == "")
    }

    @Test func anotherFileIsReadFromItsStart() throws {
        _ = try place.folder.write("1\n2\n", to: "log")
        #expect(try deliver("--resume log") == "1\n2\n")
        _ = try place.shell("printf '7\\n8\\n9\\n' > copy; cat copy > log")
        #expect(try deliver("--resume log") == "7\n8\n9\n")
        _ = try place.shell("printf '7\\n' > log")
        let result = try place.run("-f lines --journal j --resume log", "cat")
        #expect(result.text == "")
        #expect(result.errors.contains("log: of 3 lines that were read before, 1 are there"))
    }

    /// Neither grows: their last line is complete. It was lost, without a word.
    @Test func pipesAndGzipEnd() throws {
        #expect(try deliver("--resume", "1\n2") == "1\n2\n")
        _ = try place.shell("printf '1\\n2' | gzip > log.gz")
        #expect(try deliver("--resume log.gz") == "1\n2\n")
    }

    // MARK: After a crash

    /// Lets the tool take the input, kills it with its batch open, and runs it again.
    private func again(_ options: String, _ first: String, _ then: String) throws -> String {
        let session = try place.start("--journal j \(options)", "cat")
        session.write(first)
        let last = String(first.split(separator: "\n").last ?? "")
        let limit = now() + patience
        while now() < limit {
            usleep(2000)
            if place.has("j/journal"), try place.folder.read("j/journal").contains(last) { break }
        }
        session.send(SIGKILL)
        #expect(session.finish().ending == .signal(SIGKILL))
        let result = try place.run("--journal j \(options)", "cat", then)
        #expect(result.ending == .exit(0), "\(result.errors)")
        return result.text
    }

    /// They were quoted a second time.
    @Test func textComesOutAsItWentIn() throws {
        #expect(try again("--text -n 3", "a\nb\"c\n", "d\n") == "[\"a\",\"b\\\"c\",\"d\"]\n")
        _ = try place.shell("rm -r j")
        #expect(try again("--text -n 3 -f lines", "a\nb\"c\n", "d\n") == "a\nb\"c\nd\n")
        _ = try place.shell("rm -r j")
        // One CR is the line's end, the other one its own; so is a second byte order mark.
        let odd = "\u{FEFF}\u{FEFF}a\r\r\nb\r\r\n"
        #expect(
            try again("--text -n 3 -f lines", odd, "d\n").utf8.elementsEqual(
                "\u{FEFF}a\r\nb\r\nd\n".utf8))
    }

    /// The writer of a pipe sends again what it does not know to be there.
    @Test func whatIsInTheJournalIsADuplicate() throws {
        #expect(try again("--dedup . -n 9", "1\n2\n", "1\n2\n3\n") == "[1,2,3]\n")
    }

    @Test func spilledTextIsTextAgain() throws {
        for options in ["--text", "--text -f object", "--text -f lines"] {
            let result = try place.run("-n 2 \(options)", "exit 1", "a\n\nb\"\\c\né\n")
            #expect(result.ending == .exit(69))
            #expect(try place.spilled(result) == "a\n\nb\"\\c\né\n")
        }
    }
}
