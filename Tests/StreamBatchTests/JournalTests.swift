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
        journal.positions.set(2, .at(3))
        journal.positions.set(2, .at(4))
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
                stream-batch journal 2
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
                &2 4 4 ff 1f 5 6
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
        journal!.positions.set(1, .at(3))
        try journal!.write()
        journal!.finish(id)
        try journal!.end()
        let text = try place.text().replacing(/;[0-9a-f]{1,16}\n/, with: ";\n")
            .replacing(/(#\d+) [0-9a-f]{32}\n/, with: { "\($0.1) RUN\n" })
        #expect(text == "stream-batch journal 2\n#41 RUN\n;\n")
        journal = nil
        journal = try place.open()
        #expect(journal!.lastSeq == 41)
        #expect(journal!.position(1) == nil)
        let recovered = journal!.takeRecovered()
        #expect(recovered.batches.isEmpty && recovered.lines.isEmpty && recovered.torn == 0)
    }

    @Test func positionsStay() throws {
        let place = JournalPlace()
        let largest = Position(
            offset: .max, lines: .max, head: .max, tail: .max, inode: .max, born: .max)
        var journal: Journal? = try place.open()
        journal!.positions.set(.max, largest)
        try journal!.write()
        journal = nil
        journal = try place.open()
        #expect(journal!.position(.max) == largest)
        try journal!.end(keepsPositions: true)
        journal = nil
        #expect(try place.open().position(.max) == largest)
    }

    /// Those of files that nobody reads any more go when there are too many, the oldest first.
    @Test func positionsAreBounded() throws {
        let place = JournalPlace()
        var journal: Journal? = try place.open()
        for number in 1...(Positions.kept + 3) { journal!.positions.set(number, .at(number)) }
        let file = FileContents.Identity(device: 1, inode: 5, born: 6)
        journal!.positions.claim(2, file)
        try journal!.end(keepsPositions: true)
        journal = nil
        journal = try place.open()
        let kept = Set(journal!.positions.unclaimed.map(\.number))
        #expect(kept == Set([2]).union(5...(Positions.kept + 3)))
        // What was read in that run is the youngest now.
        for number in 2000..<2001 { journal!.positions.set(number, .at(number)) }
        try journal!.end(keepsPositions: true)
        journal = nil
        journal = try place.open()
        #expect(journal!.position(2) != nil && journal!.position(5) == nil)
    }

    /// Places of version 1 stay until they are known in the present form.
    @Test func positionsOfVersion1() throws {
        let place = JournalPlace()
        let old = OldPosition(device: 1, inode: 2, lines: 3, hash: 0xFF)
        try place.write(["@1 2 3 ff\n"], head: "stream-batch journal 1\n")
        var journal: Journal? = try place.open()
        #expect(journal!.positions.old(inode: 2) == [old])
        try journal!.end(keepsPositions: true)
        let head = /stream-batch journal 2\n#0 [0-9a-f]{32}\n@1 2 3 ff\n;/
        #expect(try place.text().prefixMatch(of: head) != nil)
        journal = nil
        journal = try place.open()
        #expect(journal!.positions.old(inode: 2) == [old])
        journal!.positions.replace(old)
        try journal!.write()
        journal = nil
        #expect(try place.open().positions.old(inode: 2).isEmpty)
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
