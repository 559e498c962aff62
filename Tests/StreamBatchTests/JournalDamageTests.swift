import Foundation
import Testing

@testable import StreamTool
@testable import stream_batch

/// A journal that is cut off, or has changed, anywhere: what is sound comes back, and the rest is
/// told and kept.
@Suite struct JournalDamageTests {
    /// Three entries, each with a line of its own and a place behind it.
    private static func small() throws -> (bytes: [UInt8], ends: [Int]) {
        let place = JournalPlace()
        let journal = try place.open()
        var ends = [try place.bytes().count]
        for number in 1...3 {
            journal.append("line \(number)", to: journal.open())
            journal.positions.set(1, .at(10 * number))
            try journal.write()
            ends.append(try place.bytes().count)
        }
        return (try place.bytes(), ends)
    }

    private static func files(_ place: JournalPlace) throws -> Set<String> {
        Set(try FileManager.default.contentsOfDirectory(atPath: place.path))
    }

    @Test func cutAtEveryByte() throws {
        let (bytes, ends) = try Self.small()
        for cut in bytes.indices {
            let place = try JournalPlace(bytes[..<cut])
            let journal = try place.open()
            let recovered = journal.takeRecovered()
            let whole = ends.filter { $0 <= cut }.count
            let lines = (0..<max(0, whole - 1)).map { "line \($0 + 1)\n" }.joined()
            #expect(recovered.text == lines, "cut at \(cut)")
            #expect(journal.position(1)?.prefix.offset == (whole < 2 ? nil : 10 * (whole - 1)))
            let isWhole = ends.contains(cut) || cut == JournalFile.headSize
            #expect(recovered.notes.isEmpty == isWhole, "cut at \(cut): \(recovered.notes)")
            // Nothing but a head in part is no end of an entry that was being written.
            #expect((recovered.damaged != nil) == (cut < JournalFile.headSize))
            if cut > JournalFile.headSize, !isWhole {
                let end = max(JournalFile.headSize, ends.last { $0 <= cut } ?? 0)
                let line = bytes[..<end].count { $0 == 10 } + 1
                #expect(
                    recovered.notes == [
                        "\(place.file):\(line): the last \(cut - end) bytes, from byte \(end + 1)"
                            + " on, were not written to their end, so they do not count"
                    ])
                #expect(recovered.torn == cut - end)
            }
        }
    }

    /// Every bit of it, one at a time.
    @Test func flippedAnywhere() throws {
        let (bytes, ends) = try Self.small()
        for index in bytes.indices {
            for bit in 0..<8 as Range<UInt8> {
                var changed = bytes
                changed[index] ^= 1 << bit
                try check(changed, index, ends, "byte \(index), bit \(bit)")
            }
        }
    }

    private func check(_ bytes: [UInt8], _ index: Int, _ ends: [Int], _ what: Comment) throws {
        let place = try JournalPlace(bytes)
        let journal: Journal
        do {
            journal = try place.open()
        } catch let failure as Failure {
            // Another version: only the digit of the head says so.
            #expect(index == JournalFile.headSize - 2 && failure.status == .badData, what)
            #expect(try place.bytes() == bytes, what)
            return
        }
        let recovered = journal.takeRecovered()
        let isVersion1 = index == JournalFile.headSize - 2 && recovered.notes.isEmpty
        #expect(isVersion1 || !recovered.notes.isEmpty, what)
        // What stands before the entry comes, and so does what stands behind it.
        let entry = ends.firstIndex { index < $0 }!
        for number in 1...3 where number != entry {
            let isNext = number == entry + 1
            let hasLine = recovered.text.contains("line \(number)\n")
            // A line feed that is none takes the next entry with it when records run together.
            #expect(hasLine || (isNext && bytes[index] != 10 && index == ends[entry] - 1), what)
        }
        let offset = journal.position(1)?.prefix.offset ?? 0
        #expect(offset == (isVersion1 ? 30 : 10 * max(0, min(3, entry - 1))) || entry == 0, what)
        if let damaged = recovered.damaged {
            #expect(damaged == place.file + ".damaged", what)
            #expect(Array(try Data(contentsOf: URL(fileURLWithPath: damaged))) == bytes, what)
            #expect(try Self.files(place) == ["lock", "journal", "journal.damaged"], what)
        } else {
            #expect(isVersion1 || recovered.torn > 0, what)
        }
        let again = try JournalPlace(try place.bytes()).open().takeRecovered()
        #expect(again.text == recovered.text && again.notes.isEmpty, what)
    }

    /// Lines of a closed batch are missing: the others come in a new one.
    @Test func aBatchWithoutAllItsLines() throws {
        let place = JournalPlace()
        var journal: Journal? = try place.open()
        let id = journal!.open()
        journal!.append("first", to: id)
        try journal!.write()
        journal!.append("lost", to: id)
        try journal!.write()
        journal!.append("last", to: id)
        journal!.close(id, seq: 7, count: 3)
        let other = journal!.open()
        journal!.append("other", to: other)
        journal!.close(other, seq: 8)
        try journal!.write()
        journal = nil
        let text = try place.text()
        try place.write(Array(text.replacing(" lost\n", with: " LOST\n").utf8))
        for _ in 1...2 {
            journal = nil
            journal = try place.open()
            let recovered = journal!.takeRecovered()
            #expect(recovered.text == "first\nlast\n")
            #expect(recovered.batches.map(\.seq) == [8])
            #expect(journal!.lastSeq >= 8)
        }
    }

    /// No number is given again that a damaged part gave.
    @Test func numbersGoOn() throws {
        let place = JournalPlace()
        try place.write(["#40\n", "+1\n a\n=1 41 1 0 0 \n", "+2\n b\n=2 42 1 0 0 \n"])
        let text = try place.text()
        for (old, new) in [(" b\n", " B\n"), ("=2 42 1", "=2 4x 1"), ("=1 41 ", "=1 4? ")] {
            let place = try JournalPlace(Array(text.replacing(old, with: new).utf8))
            #expect(try place.open().lastSeq >= 42)
        }
    }

    /// A second damage keeps the first one.
    @Test func damagedTwice() throws {
        let place = JournalPlace()
        for number in 1...3 {
            try place.write(["+1\n line\(number)\n"])
            try place.write(Array(try place.text().replacing("line", with: "LINE").utf8))
            let recovered = try place.open().takeRecovered()
            #expect(
                recovered.damaged == place.file + ".damaged" + (number == 1 ? "" : ".\(number)"))
            #expect(recovered.notes.first?.contains("journal:2: damaged: ") == true)
        }
        #expect(try Self.files(place).count == 5)
    }

    /// Random entries, damaged in several places at once: no crash, and no line that was not there.
    @Test(arguments: 1...200 as ClosedRange<UInt64>) func damagedAtRandom(_ seed: UInt64) throws {
        var random = Random(seed)
        let place = JournalPlace()
        var number = 0
        let entries = (0..<Int.random(in: 1...20, using: &random)).map { _ in
            let lines = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                number += 1
                return " line \(number)\n"
            }
            return "+\(number)\n" + lines.joined()
        }
        try place.write(entries)
        var bytes = try place.bytes()
        var touched: Set<Int> = []
        var ends = [JournalFile.headSize]
        for entry in entries {
            let end = bytes[(ends.last! + entry.utf8.count)...].firstIndex(of: 10)! + 1
            ends.append(end)
        }
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let start = Int.random(in: JournalFile.headSize..<bytes.count, using: &random)
            let end = min(start + Int.random(in: 1...30, using: &random), bytes.count)
            for index in start..<end {
                bytes[index] = UInt8.random(in: 0...255, using: &random)
                touched.insert(ends.firstIndex { $0 > index }!)
                // Without its seal the start of the next one may not be found.
                if ends.contains(index + 1) { touched.insert(ends.firstIndex { $0 > index }! + 1) }
            }
        }
        try place.write(bytes)
        let recovered = try place.open().takeRecovered()
        for (index, entry) in entries.enumerated() where !touched.contains(index + 1) {
            for line in entry.split(separator: "\n").dropFirst() {
                #expect(recovered.text.contains(line.dropFirst() + "\n"), "seed \(seed)")
            }
        }
        let known = Set(entries.flatMap { $0.split(separator: "\n").map { $0.dropFirst() } })
        for line in recovered.text.split(separator: "\n") {
            #expect(known.contains(line), "seed \(seed)")
        }
        #expect(!recovered.notes.isEmpty, "seed \(seed)")
    }
}
