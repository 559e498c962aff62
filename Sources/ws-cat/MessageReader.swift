import Glibc
import StreamCodec
import StreamTool

/// Messages out of the bytes of standard input.
struct MessageReader {
    /// What a call found.
    enum Item {
        /// A line or a piece, at this place in the queue until the next call.
        case piece(Range<Int>)
        /// A line that is too long begins like this.
        case tooLong(Range<Int>)
        /// The next one is not complete yet.
        case more
    }

    private let settings: CatOptions
    private var lines: LineReader
    /// The number of the piece, when it is no line.
    private var pieces = 0
    private var taken = 0
    private var scanned = 0
    /// The rest of a piece that is too long is skipped: up to a NUL, or so many bytes.
    private var discardsToNull = false
    private var discards = 0

    /// `ofLines`: whatever standard input is.
    init(_ settings: CatOptions, ofLines: Bool = false) {
        self.settings = settings
        usesLines = (ofLines || settings.form != .binary) && !settings.endsLinesWithNull
        lines = LineReader(maxLine: settings.common.maxLine)
    }

    /// The number of the last line or piece, from 1.
    var number: Int { usesLines ? lines.number : pieces }

    private let usesLines: Bool

    /// The next line or piece in `queue`. With `atEnd` the end of the input ends one too.
    @inline(__always)
    mutating func next(_ queue: inout ByteQueue, atEnd: Bool) throws -> Item {
        if !usesLines { return try nextPiece(&queue, atEnd: atEnd) }
        switch lines.next(&queue, atEnd: atEnd) {
        case .line(let range): return .piece(range)
        case .tooLong(let range): return .tooLong(range)
        case .more: return .more
        }
    }

    private mutating func nextPiece(_ queue: inout ByteQueue, atEnd: Bool) throws -> Item {
        queue.consume(taken)
        taken = 0
        if settings.form != .binary { return nextNull(&queue, atEnd: atEnd) }
        if settings.hasLengthPrefix { return try nextPrefixed(&queue, atEnd: atEnd) }
        if queue.isEmpty { return .more }
        pieces += 1
        taken = min(queue.count, settings.chunk)
        return .piece(0..<taken)
    }

    private mutating func nextNull(_ queue: inout ByteQueue, atEnd: Bool) -> Item {
        while true {
            let rest = queue.bytes(scanned..<queue.count)
            let end = rest.firstIndex(of: 0).map { $0 + scanned }
            let size = end ?? queue.count
            if discardsToNull {
                queue.consume(end.map { $0 + 1 } ?? size)
                scanned = 0
                discardsToNull = end == nil && !atEnd
                if end == nil { return .more }
                continue
            }
            if size > settings.common.maxLine {
                pieces += 1
                taken = settings.common.maxLine
                scanned = 0
                discardsToNull = true
                return .tooLong(0..<taken)
            }
            scanned = size
            if end == nil && (!atEnd || size == 0) { return .more }
            pieces += 1
            taken = end.map { $0 + 1 } ?? size
            scanned = 0
            return .piece(0..<size)
        }
    }

    private mutating func nextPrefixed(_ queue: inout ByteQueue, atEnd: Bool) throws -> Item {
        let skipped = min(discards, queue.count)
        queue.consume(skipped)
        discards -= skipped
        let isCutShort = atEnd && (discards > 0 || !queue.isEmpty)
        guard discards == 0, queue.count >= 4 else { return try cutShort(isCutShort) }
        let size = queue.bytes(0..<4).reduce(0) { $0 << 8 | Int($1) }
        if size > settings.common.maxLine {
            pieces += 1
            discards = 4 + size
            return .tooLong(0..<min(queue.count, 4 + settings.common.maxLine))
        }
        guard queue.count >= 4 + size else { return try cutShort(isCutShort) }
        pieces += 1
        taken = 4 + size
        return .piece(4..<taken)
    }

    private func cutShort(_ isCutShort: Bool) throws -> Item {
        guard isCutShort else { return .more }
        throw Failure(
            .badData, "the input ends inside a message that its length announces",
            at: Place("-", line: pieces + 1))
    }
}

/// Why a line is no message.
struct LineError: Error {
    var reason: String
    /// Bytes from the start of the line, where that can be said.
    var offset: Int?
}

extension CatOptions {
    /// Calls `take` with the message that a line stands for. False for a blank line.
    @inline(__always)
    func message(
        from line: UnsafeBufferPointer<UInt8>, _ form: Form, _ scratch: inout ByteQueue,
        _ take: (WebSocketReceiver.Kind, UnsafeBufferPointer<UInt8>) -> Void
    ) throws(LineError) -> Bool {
        switch form {
        case .binary:
            take(.binary, line)
        case .text:
            if !UTF8Text.isValid(line) {
                throw LineError(
                    reason: "not UTF-8, which a text message must be (--binary sends any bytes)",
                    offset: UTF8Text.firstIllFormed(in: line))
            }
            take(.text, line)
        case .data:
            if line.isBlank { return false }
            do throws(JSONError) {
                try JSON.validate(line, maxDepth: common.maxDepth)
            } catch {
                throw LineError(
                    reason: error.description + advice(error, line), offset: error.offset)
            }
            take(.text, line)
        case .records:
            if line.isBlank { return false }
            try readRecord(line, &scratch, take)
        }
        return true
    }

    /// What a writer of text has to know, or of values that go over several lines.
    private func advice(_ error: JSONError, _ line: UnsafeBufferPointer<UInt8>) -> String {
        let first = line.first { !($0 == 0x20 || (0x09...0x0D).contains($0)) }
        let isCutOff =
            error.reason == .unexpectedEnd
            && (first == UInt8(ascii: "{") || first == UInt8(ascii: "["))
        return isCutOff
            ? " (a value stands on one line, as jq -c writes it)" : " (--text sends any line)"
    }

    private func readRecord(
        _ line: UnsafeBufferPointer<UInt8>, _ scratch: inout ByteQueue,
        _ take: (WebSocketReceiver.Kind, UnsafeBufferPointer<UInt8>) -> Void
    ) throws(LineError) {
        let record: MessageRecord
        do throws(RecordError) {
            record = try MessageRecord(line, maxDepth: common.maxDepth)
        } catch {
            throw LineError(reason: error.description, offset: error.offset)
        }
        scratch.removeAll()
        switch record.payload {
        case .json(let range):
            take(.text, line.slice(range))
        case .string(let range):
            do throws(LoneSurrogate) {
                try scratch.append(unescaping: line.slice(range))
            } catch {
                throw LineError(
                    reason: "'data' holds half a surrogate pair, which is no text",
                    offset: range.lowerBound + error.offset)
            }
            take(.text, scratch.bytes)
        case .base64(let range):
            guard let bytes = Base64.decode(line.slice(range)) else {
                throw LineError(reason: "'data' is no base64", offset: range.lowerBound)
            }
            bytes.withUnsafeBufferPointer { take(.binary, $0) }
        }
    }
}
