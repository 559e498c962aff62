/// Why bytes are no body in chunks. No description repeats what was received.
package enum ChunkedError: Error, Equatable, Sendable, CustomStringConvertible {
    case tooLong(limit: Int)
    case badSize
    /// The data of a chunk are not as long as its size says.
    case badEnd
    /// CR or LF alone.
    case badLineEnd
    case controlCharacter
    case extensionsTooLong
    /// A line behind the last chunk is no field.
    case badTrailer
    case trailersTooLong(limit: Int)

    package var description: String {
        switch self {
        case .tooLong(let limit): "the body is longer than \(limit) bytes"
        case .badSize: "a chunk does not begin with its size"
        case .badEnd: "a chunk does not end where its size says"
        case .badLineEnd: "a line of the chunked body does not end with CR and LF"
        case .controlCharacter: "a control character in a line of the chunked body"
        case .extensionsTooLong: "the extensions of the chunks are too long"
        case .badTrailer: "what stands behind the chunks is no field"
        case .trailersTooLong(let limit): "the fields behind the chunks have over \(limit) bytes"
        }
    }
}

/// The chunked transfer coding, received: RFC 9112, section 7.1.
///
/// What reads this otherwise than the proxy before it lets one request hide in another, so it
/// takes nothing that the grammar does not have: no LF alone, no space behind a size.
package struct ChunkedReader: Sendable {
    /// All fields behind the last chunk, which nobody needs, and the blank line.
    package static let maxTrailers = 8192
    /// All extensions may have so many bytes, and one for each byte of the body.
    package static let maxExtensions = 8192

    /// What the next byte is.
    private enum Place {
        case size, beforeExtension, inExtension, sizeLineFeed
        case data, dataReturn, dataLineFeed
        case trailer, trailerName, trailerValue, trailerLineFeed, lastLineFeed
        case end
    }

    private let maxBody: Int
    private var place = Place.size
    /// Of the size of this chunk: sixteen fit.
    private var digits = 0
    /// Bytes of this chunk that are still to come.
    private var left: UInt64 = 0
    /// Bytes of the chunks before this one.
    private var received = 0
    private var extensions = 0
    private var trailers = 0

    /// Accepts at most `maxBody` bytes, without what the coding adds to them.
    package init(maxBody: Int) {
        precondition(maxBody >= 0)
        self.maxBody = maxBody
    }

    /// Moves what has come of the body from `queue` to `body`. True at its end; what stands behind
    /// it stays in the queue. Throws as soon as a byte is wrong, or a size is too large.
    package mutating func read(
        _ queue: inout ByteQueue, into body: inout ByteQueue
    ) throws(ChunkedError) -> Bool {
        while place != .end && !queue.isEmpty {
            if place == .data {
                move(&queue, into: &body)
            } else {
                try take(queue[0])
                queue.consume(1)
            }
        }
        return place == .end
    }

    private mutating func move(_ queue: inout ByteQueue, into body: inout ByteQueue) {
        // Fits: a size is at most `maxBody`.
        let count = min(queue.count, Int(left))
        unsafe body.append(queue.bytes(0..<count))
        queue.consume(count)
        received += count
        left -= UInt64(count)
        if left == 0 { place = .dataReturn }
    }

    /// One byte that is not data.
    private mutating func take(_ byte: UInt8) throws(ChunkedError) {
        switch place {
        case .size, .beforeExtension, .inExtension: try takeSizeLine(byte)
        case .sizeLineFeed:
            if byte != UInt8(ascii: "\n") { throw .badLineEnd }
            place = left > 0 ? .data : .trailer
        case .dataReturn:
            if byte != UInt8(ascii: "\r") { throw .badEnd }
            place = .dataLineFeed
        case .dataLineFeed:
            if byte != UInt8(ascii: "\n") { throw .badEnd }
            place = .size
            digits = 0
        case .trailer, .trailerName, .trailerValue, .trailerLineFeed, .lastLineFeed:
            if trailers == Self.maxTrailers { throw .trailersTooLong(limit: Self.maxTrailers) }
            try takeTrailer(byte)
            trailers += 1
        case .data, .end: preconditionFailure("no byte of a line")
        }
    }

    /// chunk-size [ chunk-ext ] CRLF: sections 7.1 and 7.1.1.
    private mutating func takeSizeLine(_ byte: UInt8) throws(ChunkedError) {
        if byte == UInt8(ascii: "\r") && digits > 0 && place != .beforeExtension {
            place = .sizeLineFeed
            return
        }
        if place == .size, let digit = hexValue(byte) {
            if digits == 16 { throw .badSize }
            let size = left << 4 | UInt64(digit)
            if size > UInt64(maxBody - received) { throw .tooLong(limit: maxBody) }
            left = size
            digits += 1
            return
        }
        if place == .inExtension {
            try checkText(byte)
        } else {
            // Spaces may stand before a semicolon, and only there.
            guard digits > 0, byte == UInt8(ascii: ";") || byte.isSpace else { throw .badSize }
        }
        if extensions >= Self.maxExtensions && extensions - Self.maxExtensions >= received {
            throw .extensionsTooLong
        }
        extensions += 1
        if place != .inExtension {
            place = byte == UInt8(ascii: ";") ? .inExtension : .beforeExtension
        }
    }

    /// *( field-line CRLF ) CRLF: section 7.1.2. Nothing is kept of it.
    private mutating func takeTrailer(_ byte: UInt8) throws(ChunkedError) {
        switch place {
        case .trailer where byte == UInt8(ascii: "\r"): place = .lastLineFeed
        case .trailer, .trailerName:
            if byte == UInt8(ascii: ":") && place == .trailerName {
                place = .trailerValue
            } else if byte.isTokenCharacter {
                place = .trailerName
            } else {
                throw .badTrailer
            }
        case .trailerValue where byte == UInt8(ascii: "\r"): place = .trailerLineFeed
        case .trailerValue: try checkText(byte)
        default:
            if byte != UInt8(ascii: "\n") { throw .badLineEnd }
            place = place == .lastLineFeed ? .end : .trailer
        }
    }

    private func checkText(_ byte: UInt8) throws(ChunkedError) {
        if byte == UInt8(ascii: "\n") { throw .badLineEnd }
        if byte.isControl { throw .controlCharacter }
    }
}
