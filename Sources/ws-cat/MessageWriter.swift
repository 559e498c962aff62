import StreamCodec
import StreamTool

/// Received messages, and what happens to the connection, as lines.
struct MessageWriter {
    private let form: Form
    private let maxDepth: Int
    /// What stands behind a message with --text.
    let end: UInt8
    private let hasLengthPrefix: Bool
    private let writesEvents: Bool

    init(_ settings: CatOptions) {
        form = settings.form
        maxDepth = settings.common.maxDepth
        end = settings.endsLinesWithNull ? 0 : UInt8(ascii: "\n")
        hasLengthPrefix = settings.hasLengthPrefix
        writesEvents = settings.all
    }

    @inline(__always)
    func append(
        isText: Bool, _ payload: UnsafeBufferPointer<UInt8>, to buffer: inout ByteQueue
    ) {
        switch form {
        case .text:
            buffer.append(payload)
            buffer.append(end)
        case .binary:
            if hasLengthPrefix { appendLength(payload.count, to: &buffer) }
            buffer.append(payload)
        case .data where !isText:
            buffer.append("{\"binary\":\"")
            buffer.append(Base64.encode(payload))
            buffer.append("\"}\n")
        case .data:
            if JSON.isValid(payload, maxDepth: maxDepth) {
                buffer.append(jsonOnOneLine: payload)
            } else if let values = jsonValues(in: payload, maxDepth: maxDepth) {
                for (index, value) in values.enumerated() {
                    if index > 0 { buffer.append(UInt8(ascii: "\n")) }
                    buffer.append(jsonOnOneLine: payload.slice(value))
                }
            } else {
                buffer.append(quoting: payload)
            }
            buffer.append(UInt8(ascii: "\n"))
        case .records where isText:
            buffer.append("{\"type\":\"text\",\"data\":")
            buffer.append(quoting: payload)
            buffer.append("}\n")
        case .records:
            buffer.append("{\"type\":\"binary\",\"data\":\"")
            buffer.append(Base64.encode(payload))
            buffer.append("\"}\n")
        }
    }

    /// 32 bits in network order.
    private func appendLength(_ size: Int, to buffer: inout ByteQueue) {
        for shift in [24, 16, 8, 0] { buffer.append(UInt8(truncatingIfNeeded: size >> shift)) }
    }

    /// A record of what happened to the connection, with --all.
    func append(event type: String, to buffer: inout ByteQueue, _ members: [(String, Member)]) {
        guard writesEvents else { return }
        buffer.append("{\"type\":")
        buffer.append(quoting: type)
        buffer.append(",\"time\":\"")
        buffer.append(rfc3339: realtimeNanoseconds())
        buffer.append("\"")
        for (name, member) in members {
            switch member {
            case .none: continue
            case .text(let text):
                appendName(name, to: &buffer)
                text.withUnsafeBufferPointer { bytes in
                    if UTF8Text.isValid(bytes) {
                        buffer.append(quoting: bytes)
                    } else {
                        buffer.append("{\"base64\":\"")
                        buffer.append(Base64.encode(bytes))
                        buffer.append("\"}")
                    }
                }
            case .number(let number):
                appendName(name, to: &buffer)
                buffer.append(string: number)
            }
        }
        buffer.append("}\n")
    }

    private func appendName(_ name: String, to buffer: inout ByteQueue) {
        buffer.append(UInt8(ascii: ","))
        buffer.append(quoting: name)
        buffer.append(UInt8(ascii: ":"))
    }
}

/// Several objects and arrays that a message holds behind one another, as some feeds send
/// them; nil when it is anything else.
func jsonValues(
    in payload: UnsafeBufferPointer<UInt8>, maxDepth: Int
) -> [Range<Int>]? {
    var scanner = JSONScanner(payload, maxDepth: maxDepth)
    var values: [Range<Int>] = []
    do throws(JSONError) {
        scanner.skipWhitespace()
        while scanner.next == UInt8(ascii: "{") || scanner.next == UInt8(ascii: "[") {
            let start = scanner.position
            try scanner.skipValue()
            values.append(start..<scanner.position)
            scanner.skipWhitespace()
        }
        try scanner.finish()
    } catch {
        // It is text, then.
        return nil
    }
    return values.isEmpty ? nil : values
}

/// A value in a record of what happened.
enum Member {
    case none
    case text([UInt8])
    /// A JSON number, true or false.
    case number(String)

    static func text(_ text: String?) -> Member {
        text.map { .text(Array($0.utf8)) } ?? .none
    }

    static func milliseconds(_ nanoseconds: UInt64) -> Member {
        .number(decimal(Double(nanoseconds) / 1e6, places: 3))
    }
}
