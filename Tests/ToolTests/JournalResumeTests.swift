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
        // What is shorter is another one, too.
        _ = try place.shell("printf '7\\n' > log")
        #expect(try deliver("--resume log") == "7\n")
    }

    /// The same inode may come back, and the first line be that of every such log.
    @Test func aFileInThePlaceOfAnother() throws {
        _ = try place.folder.write("\"h\"\n1\n2\n", to: "log")
        #expect(try deliver("--resume log") == "\"h\"\n1\n2\n")
        _ = try place.shell("rm log; printf '\"h\"\n3\n4\n5\n' > log")
        #expect(try deliver("--resume log") == "\"h\"\n3\n4\n5\n")
        #expect(try deliver("--resume log") == "")
        // In place, and longer at once.
        _ = try place.shell("printf '\"h\"\n6\n7\n8\n9\n' > copy; cat copy > log")
        #expect(try deliver("--resume log") == "\"h\"\n6\n7\n8\n9\n")
    }

    @Test func aFileGivenTwiceIsReadOnce() throws {
        _ = try place.folder.write("1\n2\n", to: "log")
        _ = try place.shell("ln log link")
        #expect(try deliver("--resume log ./log link") == "1\n2\n")
        _ = try place.shell("echo 3 >> log")
        #expect(try deliver("--resume log log") == "3\n")
        // Without it they are two, as for cat.
        #expect(
            try place.run("-f lines --journal k log link", "cat").text == "1\n2\n3\n1\n2\n3\n")
    }

    @Test func twoFilesWithTheSameLines() throws {
        _ = try place.folder.write("1\n2\n", to: "a")
        _ = try place.folder.write("1\n2\n", to: "b")
        #expect(try deliver("--resume a b") == "1\n2\n1\n2\n")
        _ = try place.shell("echo 3 >> a; echo 4 >> b")
        #expect(try deliver("--resume b a") == "4\n3\n")
    }

    @Test func anOperandThatIsNotThere() throws {
        _ = try place.folder.write("1\n", to: "log")
        let result = try place.run("-n 2 -f lines --journal j --resume log.1 log", "cat")
        #expect(result.ending == .exit(0) && result.text == "1\n")
        #expect(result.errors == "stream-batch: log.1: No such file or directory\n")
        for operands in ["log.1", "log.2 log.1"] {
            let result = try place.run("-f lines --journal j --resume \(operands)", "cat")
            #expect(result.ending == .exit(66))
        }
        #expect(try place.run("-f lines --journal j log.1 log", "cat").ending == .exit(66))
    }

    /// More than the blocks by which it is known, and only what is new is read.
    @Test func aLargeFileIsNotReadAgain() throws {
        _ = try place.shell("seq 1 200000 > log")
        #expect(try place.run("-n 9999 --journal j --resume log", "cat").ending == .exit(0))
        _ = try place.shell("printf '7\\n8\\n' >> log; mv log log.1; echo 9 > log")
        let result = try place.run("-n 9 -f lines --journal j --resume --stats=s log.1 log", "cat")
        #expect(result.text == "7\n8\n9\n")
        #expect(try place.folder.read("s").contains("\"input_bytes\":6,"))
    }

    @Test func aCompressedFileGoesOn() throws {
        _ = try place.shell("seq 1 50000 > log")
        #expect(try place.run("-n 9999 --journal j --resume log", "cat").ending == .exit(0))
        _ = try place.shell("printf '7\\n8' >> log; gzip log; printf '1\\n' > log")
        // Its last line has its end by now.
        #expect(try deliver("--resume log.gz log") == "7\n8\n1\n")
        #expect(try deliver("--resume log.gz log") == "")
    }

    /// A copy that is under way, plain and compressed, of a file that is still there.
    @Test func aCopyIsLeftToTheNextRun() throws {
        _ = try place.shell("seq 1 9000 > log")
        #expect(try place.run("-n 9999 --journal j --resume log", "cat").ending == .exit(0))
        _ = try place.shell("echo 7 >> log; cp log log.1; gzip < log | head -c 9000 > log.2.gz")
        let result = try place.run("-n 9 -f lines --journal j --resume log.2.gz log.1 log", "cat")
        #expect(result.text == "7\n")
        #expect(result.errors.contains("log.1: holds the beginning of log and nothing else"))
        #expect(result.errors.contains("log.2.gz: holds the beginning of log and nothing else"))
        _ = try place.shell("echo 8 > log; rm log.2.gz; gzip log.1")
        #expect(try deliver("--resume log.1.gz log") == "8\n")
    }

    /// Cut off before the last line was at its end, which is not read then either.
    @Test func truncatedWhileItIsRead() throws {
        _ = try place.shell("seq 1 90000 > log")
        let line = "[ $BATCH_SEQ = 1 ] && : > log; cat >> taken"
        let result = try place.run("-n 5000 --max-queue 1 -f lines --journal j --resume log", line)
        #expect(result.ending == .exit(0))
        #expect(result.errors.contains("log: was truncated while it was read: the next run reads"))
        _ = try place.shell("seq 90001 200000 > log")
        #expect(try place.run("-n 9999 -f lines --journal j --resume log", line).ending == .exit(0))
        let taken = try place.lines("taken")
        #expect(Set(taken).count == taken.count && taken.count > 110_000)
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
        let limit = now() + patience
        while !place.has("j/journal") && now() < limit { usleep(2000) }
        // It does not wait for more before what it took is in the journal.
        #expect(session.isAsleep())
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
