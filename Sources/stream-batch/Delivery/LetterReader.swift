import StreamCodec
import StreamTool

/// Makes of a dead letter the batch that it was, its lines byte for byte.
struct LetterReader: ~Copyable {
    private enum Member: String, CaseIterable {
        case run, seq, key, count, part, from, to, batch, items, raw
        case base64 = "raw_base64"
    }

    private var paths: JSONPaths
    private let maxDepth: Int
    private let quotesText: Bool
    private let isValidated: Bool

    init(_ settings: BatchOptions) throws {
        paths = JSONPaths(try Member.allCases.map { try JSONPath("." + $0.rawValue) })
        // The letter and its array are around what was a line.
        maxDepth = settings.common.maxDepth + 2
        quotesText = settings.isText && settings.format != .lines
        isValidated = settings.isValidated && settings.format != .lines
    }

    mutating func batch(in letter: UnsafeBufferPointer<UInt8>) throws(LineError) -> Batch {
        do throws(JSONError) {
            try paths.find(in: letter, maxDepth: maxDepth)
        } catch {
            throw LineError(offset: error.offset, reason: error.description)
        }
        var batch = Batch()
        guard let seq = try number(.seq, in: letter) else {
            throw LineError(offset: 0, reason: "it has no member seq")
        }
        batch.seq = seq
        batch.run = try run(of: letter)
        batch.key = value(.key, in: letter).map { Array($0) } ?? []
        batch.numbers = numbers(of: letter)
        let now = realtimeNanoseconds()
        batch.from = value(.from, in: letter).flatMap { Timestamp.value($0, unit: .ns) } ?? now
        batch.to = value(.to, in: letter).flatMap { Timestamp.value($0, unit: .ns) } ?? now
        if let summary = value(.batch, in: letter) {
            batch.summary = Array(summary)
            batch.isWritten = true
            batch.count = try number(.count, in: letter) ?? 1
        } else {
            batch.lines = try lines(of: letter)
            batch.count = batch.lines.count { $0 == UInt8(ascii: "\n") }
        }
        return batch
    }

    // MARK: Members

    private func range(_ member: Member) -> Range<Int>? {
        Member.allCases.firstIndex(of: member).flatMap { paths.found[$0] }
    }

    private func value(
        _ member: Member, in letter: UnsafeBufferPointer<UInt8>
    ) -> UnsafeBufferPointer<UInt8>? {
        range(member).map { letter.slice($0) }
    }

    private func problem(_ member: Member, _ reason: String) -> LineError {
        LineError(offset: range(member)?.lowerBound ?? 0, reason: reason)
    }

    /// The text of a string; nil when it is none.
    private func text(_ value: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard value.count >= 2, value[0] == UInt8(ascii: "\"") else { return nil }
        var text = ByteQueue(capacity: value.count)
        text.append(replacing: value.slice(1..<(value.count - 1)))
        return Array(text.bytes)
    }

    private func number(
        _ member: Member, in letter: UnsafeBufferPointer<UInt8>
    ) throws(LineError) -> Int? {
        guard let digits = value(member, in: letter) else { return nil }
        guard let number = Int(String(decoding: digits, as: UTF8.self)), number > 0 else {
            throw problem(member, "\(member.rawValue) is no number from 1")
        }
        return number
    }

    /// Empty where an earlier version wrote none.
    private func run(of letter: UnsafeBufferPointer<UInt8>) throws(LineError) -> String {
        guard let value = value(.run, in: letter) else { return "" }
        guard let run = text(value), !run.contains(0), run.count < 1000 else {
            throw problem(.run, "run is no short string")
        }
        return String(decoding: run, as: UTF8.self)
    }

    /// `501-1000`, or `2-2,5-7` with --results: the numbers that its lines had.
    private func numbers(of letter: UnsafeBufferPointer<UInt8>) -> [ClosedRange<Int>] {
        let part = value(.part, in: letter).flatMap { text($0) } ?? []
        return part.split(separator: UInt8(ascii: ",")).compactMap { range in
            let ends = range.split(separator: UInt8(ascii: "-")).compactMap {
                Int(String(decoding: $0, as: UTF8.self))
            }
            return ends.count == 2 && ends[0] >= 1 && ends[0] <= ends[1] ? ends[0]...ends[1] : nil
        }
    }

    // MARK: Lines

    private func lines(of letter: UnsafeBufferPointer<UInt8>) throws(LineError) -> [UInt8] {
        guard let member = [Member.items, .raw, .base64].first(where: { range($0) != nil }),
            let array = value(member, in: letter)
        else { throw LineError(offset: 0, reason: "it has no member items, raw or batch") }
        var lines: [UInt8] = []
        lines.reserveCapacity(array.count)
        for element in elements(of: array) {
            let element = array.slice(element)
            lines += member == .items ? Array(element) : try line(element, member)
            lines.append(UInt8(ascii: "\n"))
        }
        if lines.isEmpty { throw problem(member, "\(member.rawValue) is no array with lines") }
        return lines
    }

    /// A line that was no JSON, as it stands in a batch.
    private func line(
        _ element: UnsafeBufferPointer<UInt8>, _ member: Member
    ) throws(LineError) -> [UInt8] {
        var line = text(trimmed(element))
        if member == .base64 {
            line = line.flatMap { text in text.withUnsafeBufferPointer { Base64.decode($0) } }
        }
        guard let line, !line.contains(UInt8(ascii: "\n")) else {
            throw problem(member, "what \(member.rawValue) holds is no line")
        }
        if quotesText {
            guard member == .raw else {
                throw problem(member, "its lines are no UTF-8: they need --format=lines")
            }
            var quoted = ByteQueue(capacity: line.count + 8)
            quoted.append(quoting: line)
            return Array(quoted.bytes)
        }
        if isValidated {
            throw problem(
                member, "its lines are no JSON: they need --text, --format=lines or --no-validate")
        }
        return line
    }

    private func trimmed(_ text: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        let isBlank = { (byte: UInt8) in byte <= UInt8(ascii: " ") }
        guard let first = text.firstIndex(where: { !isBlank($0) }),
            let last = text.lastIndex(where: { !isBlank($0) })
        else { return text }
        return text.slice(first..<(last + 1))
    }

    /// Where the elements of a valid array stand, with the blanks around them: a line may have had
    /// some. None when it is no array, or an empty one.
    private func elements(of array: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
        guard array.first == UInt8(ascii: "["), !array.slice(1..<(array.count - 1)).isBlank else {
            return []
        }
        var found: [Range<Int>] = []
        var start = 1
        var depth = 0
        var isString = false
        var index = 1
        while index < array.count - 1 {
            switch array[index] {
            case UInt8(ascii: "\""): isString.toggle()
            case UInt8(ascii: "\\"): index += 1
            case _ where isString: break
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: ",") where depth == 0:
                found.append(start..<index)
                start = index + 1
            default: break
            }
            index += 1
        }
        found.append(start..<(array.count - 1))
        return found
    }
}
