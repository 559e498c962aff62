import Foundation
import Testing

@testable import StreamTool
@testable import stream_batch

@Suite struct JournalSizeTests {
    private static let line = String(repeating: "x", count: 98)

    /// 200 batches of 100 kB one after the other, and one that stays.
    @Test func staysSmall() throws {
        let place = JournalPlace()
        var journal: Journal? = try place.open(limit: 1 << 20)
        let old = journal!.open()
        let closed = journal!.open()
        journal!.append("closed", to: closed)
        journal!.close(closed, seq: 1, key: "1")
        var largest = 0
        for seq in 2...200 {
            let id = journal!.open()
            for _ in 0..<1000 { journal!.append(Self.line, to: id) }
            journal!.append("line \(seq)", to: old)
            journal!.close(id, seq: seq, count: 1000)
            journal!.positions.set(1, .at(1001 * seq))
            try journal!.write()
            journal!.finish(id)
            largest = max(largest, try place.bytes().count)
        }
        try journal!.write()
        #expect(largest < 1 << 20 + 110_000)
        journal = nil
        journal = try place.open()
        let recovered = journal!.takeRecovered()
        #expect(recovered.batches.map(\.seq) == [1])
        #expect(recovered.text == (2...200).map { "line \($0)\n" }.joined())
        #expect(journal!.lastSeq == 200)
        #expect(journal!.position(1)?.prefix.offset == 200_200)
    }

    /// As long as more than half of it is needed, the file is not written anew.
    @Test func liveBatchesStay() throws {
        let place = JournalPlace()
        let journal = try place.open(limit: 1000)
        let ids = (0..<10).map { _ in journal.open() }
        for id in ids {
            for _ in 0..<10 { journal.append(Self.line, to: id) }
            try journal.write()
        }
        let size = try place.bytes().count
        #expect(size > 10_000)
        for id in ids[..<4] { journal.finish(id) }
        try journal.write()
        #expect(try place.bytes().count > size)
        for id in ids[4..<6] { journal.finish(id) }
        try journal.write()
        #expect(try place.bytes().count < size / 2)
    }

    /// With a summary the lines are not needed.
    @Test func summaries() throws {
        let place = JournalPlace()
        var journal: Journal? = try place.open(limit: 1000)
        let id = journal!.open()
        for _ in 0..<100 { journal!.append(Self.line, to: id) }
        try journal!.write()
        journal!.close(id, seq: 1, count: 100, summary: "\"count\":100")
        try journal!.write()
        #expect(try place.bytes().count < 200)
        journal = nil
        let batch = try #require(try place.open().takeRecovered().batches.first)
        #expect(batch.summary.map { String(decoding: $0, as: UTF8.self) } == "\"count\":100")
        #expect(batch.lines.isEmpty && batch.count == 100)
    }

    /// No room on the disk: the file stays good, and the records wait. A child, because the limit
    /// is one of the process.
    @Test func fullDisk() async {
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            let place = JournalPlace()
            var journal: Journal? = try place.open()
            let first = journal!.open()
            journal!.append("first", to: first)
            try journal!.write()
            let before = try place.bytes()
            let earlier = limitFiles(to: rlim_t(before.count + 100))
            for _ in 0..<10 { journal!.append(Self.line, to: first) }
            journal!.positions.set(1, .at(11))
            for _ in 0..<2 {
                let failure = #expect(throws: Failure.self) { try journal!.write() }
                #expect(failure?.status == .inputOutput)
                #expect(failure?.message == "\(place.file): File too large")
                #expect(try place.bytes() == before)
                journal!.append("more", to: first)
            }
            _ = limitFiles(to: earlier)
            try journal!.write()
            journal = nil
            journal = try place.open()
            let lines = journal!.takeRecovered().text.split(separator: "\n")
            #expect(lines.map(\.count) == [5] + Array(repeating: 98, count: 10) + [4, 4])
            #expect(journal!.position(1)?.prefix.offset == 11)
        }
    }

    /// No room for a second file: the first one goes on.
    @Test func noCompaction() throws {
        let place = JournalPlace()
        var journal: Journal? = try place.open(limit: 1000)
        mkdir(place.file + ".new", 0o700)
        for _ in 0..<5 {
            let id = journal!.open()
            for _ in 0..<20 { journal!.append(Self.line, to: id) }
            try journal!.write()
            journal!.finish(id)
            try journal!.write()
        }
        #expect(try place.bytes().count > 10_000)
        rmdir(place.file + ".new")
        journal!.append("a", to: journal!.open())
        try journal!.write()
        journal!.append("b", to: journal!.open())
        for _ in 0..<20 { journal!.append("c", to: journal!.open()) }
        try journal!.write()
        journal = nil
        #expect(try place.open().takeRecovered().text.hasPrefix("a\nb\nc\n"))
    }
}

/// Sets how large the files that this process writes may be; the limit before.
private func limitFiles(to size: rlim_t) -> rlim_t {
    let fileSize = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
    var limit = rlimit()
    getrlimit(fileSize, &limit)
    let earlier = limit.rlim_cur
    limit.rlim_cur = size
    precondition(setrlimit(fileSize, &limit) == 0)
    return earlier
}
