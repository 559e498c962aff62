import Foundation
import Testing

@testable import StreamTool
@testable import stream_batch

@Suite struct JournalTests {
    /// What people may read there.
    @Test func form() throws {
        let place = JournalPlace()
        let journal = try place.open()
        let (one, two) = (journal.open(), journal.open())
        journal.append("{\"a\":1}", to: one)
        journal.append("", to: one)
        journal.append(" +2", to: two)
        journal.append("x", to: one)
        journal.accepted(Position(device: 1, inode: 2, lines: 3, hash: 0xFF))
        journal.accepted(Position(device: 1, inode: 2, lines: 4, hash: 0xFF))
        journal.close(one, seq: 7, key: "\"a \\\" b\"", count: 3)
        journal.merge(two, into: journal.open())
        journal.close(3, seq: 8, summary: "\"count\":1")
        try journal.write()
        journal.finish(one)
        try journal.write()
        let text = try place.text().replacing(/;[0-9a-f]{1,16}\n/, with: ";\n")
            .replacing(/(#\d+) [0-9a-f]{32}\n/, with: { "\($0.1) RUN\n" })
        #expect(
            text == """
                stream-batch journal 1
                #0 RUN
                ;
                +1
                 {"a":1}
                \(" ")
                +2
                  +2
                +1
                 x
                =1 7 3 1 2 "a \\" b"
                >2 3
                %3 "count":1
                =3 8 1 1 2\(" ")
                @1 2 4 ff
                ;
                .1
                ;

                """)
    }

    /// What BATCH_RUN says stays as long as the journal; one without it gets it once.
    @Test func theRunHasAName() throws {
        let place = JournalPlace()
        var journal: Journal? = try place.open()
        let name = try #require(journal?.run)
        #expect(name.wholeMatch(of: /[0-9a-f]{32}/) != nil)
        #expect(try JournalPlace().open().run != name)
        try journal?.end()
        journal = nil
        journal = try place.open()
        #expect(journal?.run == name)
        journal = nil
        let record = "#3\n"
        try place.write(
            Array("stream-batch journal 1\n\(record);\(String(hash(record), radix: 16))\n".utf8))
        journal = try place.open()
        let new = try #require(journal?.run)
        #expect(new != name && journal?.lastSeq == 3)
        try journal?.write()
        journal = nil
        journal = try place.open()
        #expect(journal?.run == new && journal?.lastSeq == 3)
    }

    @Test func nothingIsWrittenForNothing() throws {
        let place = JournalPlace()
        let journal = try place.open()
        let size = try place.bytes().count
        try journal.write()
        _ = journal.open()
        journal.finish(1)
        try journal.write()
        #expect(try place.bytes().count == size)
    }

    @Test func cleanEnd() throws {
        let place = JournalPlace()
        var journal: Journal? = try place.open()
        let id = journal!.open()
        journal!.append("a", to: id)
        journal!.close(id, seq: 41)
        journal!.accepted(Position(device: 1, inode: 2, lines: 3, hash: 4))
        try journal!.write()
        journal!.finish(id)
        try journal!.end()
        let text = try place.text().replacing(/;[0-9a-f]{1,16}\n/, with: ";\n")
            .replacing(/(#\d+) [0-9a-f]{32}\n/, with: { "\($0.1) RUN\n" })
        #expect(text == "stream-batch journal 1\n#41 RUN\n;\n")
        journal = nil
        journal = try place.open()
        #expect(journal!.lastSeq == 41)
        #expect(journal!.position(device: 1, inode: 2) == nil)
        let recovered = journal!.takeRecovered()
        #expect(recovered.batches.isEmpty && recovered.lines.isEmpty && recovered.torn == 0)
    }

    /// A second operand that is the same file begins at its start.
    @Test func positionsAreOfTheEarlierRun() throws {
        let place = JournalPlace()
        let position = Position(device: .max, inode: .max, lines: .max, hash: .max)
        var journal: Journal? = try place.open()
        journal!.accepted(position)
        #expect(journal!.position(device: .max, inode: .max) == nil)
        try journal!.write()
        journal = nil
        journal = try place.open()
        #expect(journal!.position(device: .max, inode: .max) == position)
        #expect(journal!.position(device: .max, inode: 1) == nil)
    }

    /// A byte that changed, anywhere, is noticed; the file is left alone.
    @Test func damage() throws {
        let place = JournalPlace()
        var journal: Journal? = try place.open()
        for number in 1...3 {
            journal!.append("line \(number)", to: journal!.open())
            try journal!.write()
        }
        journal = nil
        let good = try place.bytes()
        for index in good.indices {
            var bytes = good
            bytes[index] ^= 1
            // Without a seal the last entry may as well be a write that was cut off.
            let lastFeed = good.dropLast().lastIndex(of: 10)!
            if [lastFeed, lastFeed + 1, good.count - 1].contains(index) { continue }
            try place.write(bytes)
            let failure = #expect(throws: Failure.self, "byte \(index)") { try place.open() }
            #expect(failure?.status == .badData)
            #expect(failure?.place?.input == place.file)
            // The next seal tells, unless a record cannot even be read.
            let line = good[..<index].count { $0 == 10 } + 1
            #expect((line...line + 3).contains(failure?.place?.line ?? 0), "byte \(index)")
            #expect(try place.bytes() == bytes)
        }
        for text in ["", "stream-batch journal 2\n", "stream-batch journ", "{\"a\":1}\n"] {
            try place.write(Array(text.utf8))
            let failure = #expect(throws: Failure.self) { try place.open() }
            #expect(failure?.status == .badData)
            #expect(failure?.place?.line == 1)
            #expect(try place.text() == text)
        }
    }

    /// A file with records behind the last seal, whole and in part, is cut there.
    @Test func tornTail() throws {
        let place = JournalPlace()
        var journal: Journal? = try place.open()
        journal!.append("a", to: journal!.open())
        try journal!.write()
        journal = nil
        let good = try place.bytes()
        for tail in ["+2\n b\n c", "+", "+1\n x\n", ";", ";0123", "\0\0\0\0"] {
            try place.write(good + Array(tail.utf8))
            let again = try place.open()
            let recovered = again.takeRecovered()
            #expect(recovered.text == "a\n")
            #expect(recovered.torn == tail.utf8.count)
            #expect(try place.bytes() == good)
        }
        for tail in ["+2\n b\n? c", "b\n", "+x\n", "+99999999999999999999\n", "\n"] {
            try place.write(good + Array((tail + "\n").utf8))
            let failure = #expect(throws: Failure.self, "\(tail)") { try place.open() }
            #expect(failure?.status == .badData)
        }
    }

    @Test func folder() throws {
        let place = JournalPlace()
        _ = try place.open()
        var status = stat()
        #expect(stat(place.path, &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(stat(place.file, &status) == 0 && status.st_mode & 0o777 == 0o600)
        for path in ["/dev/null", "/proc/no/such", place.file, place.path + "/a/b"] {
            let failure = #expect(throws: Failure.self) {
                try Journal(folder: path, syncs: false)
            }
            #expect(failure?.status == .cannotCreate)
        }
        unlink(place.file)
        mkfifo(place.file, 0o600)
        let failure = #expect(throws: Failure.self) { try place.open() }
        #expect(failure?.message == "\(place.file): not a regular file")
    }

    /// The lines of both stand as the loop has them, also where a later one was merged first.
    @Test func mergedWindows() throws {
        let place = JournalPlace()
        var journal: Journal? = try place.open(limit: 0)
        let ids = (0..<3).map { _ in journal!.open() }
        for number in 0..<6 { journal!.append("\(number)", to: ids[number % 3]) }
        journal!.merge(ids[2], into: ids[1])
        journal!.merge(ids[1], into: ids[0])
        journal!.append("6", to: ids[0])
        try journal!.write()
        journal = nil
        journal = try place.open(limit: 0)
        #expect(journal!.takeRecovered().text == "0\n1\n2\n3\n4\n5\n6\n")
        journal = nil
        journal = try place.open(limit: 0)
        journal!.close(ids[0], seq: 1, count: 7)
        try journal!.write()
        journal = nil
        journal = try place.open(limit: 0)
        let batch = try #require(journal!.takeRecovered().batches.first)
        #expect(String(decoding: batch.lines, as: UTF8.self) == "0\n3\n1\n4\n2\n5\n6\n")
    }
}
