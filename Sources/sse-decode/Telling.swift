import StreamCodec
import StreamTool

/// A member of a connection record.
enum Member { case text(String), number(Int) }

extension Run<DecodeOptions> {
    /// Says what happens to a connection: as a diagnostic, and with --all as a record.
    mutating func tell(
        _ state: String, of source: String, _ members: [(name: String, value: Member)] = []
    ) {
        let words = members.map { member in
            switch member.value {
            case .text(let text): text
            case .number(let number): "\(number)"
            }
        }
        // What is retried, and what is given up, is told as a warning or an error.
        if !["retrying", "given-up", "stalled"].contains(state) {
            let state = state == "resumed" ? "resumed after id" : state
            report.info(([source + ":", state] + words).joined(separator: " "))
        }
        guard settings.all else { return }
        output.buffer.append("{\"connection\":")
        output.buffer.append(quoting: state)
        output.buffer.append(",\"source\":")
        output.buffer.append(quoting: source)
        output.buffer.append(",\"time\":")
        output.buffer.append(quoting: timestamp())
        for (name, value) in members {
            output.buffer.append(UInt8(ascii: ","))
            output.buffer.append(quoting: name)
            output.buffer.append(UInt8(ascii: ":"))
            switch value {
            case .text(let text): output.buffer.append(quoting: text)
            case .number(let number): output.buffer.append(decimal: number)
            }
        }
        output.buffer.append("}\n")
    }

    /// Output may wait up to so many bytes before nothing more is read: 1 MiB.
    private static var maxWaiting: Int { 1 << 20 }

    /// What is read now can be written soon.
    var hasRoom: Bool {
        output.isCompressed ? output.waiting == 0 : output.waiting < Self.maxWaiting
    }
}

extension ByteQueue {
    /// The head of a body behind a colon, for people: at most so many bytes.
    func shown(_ limit: Int) -> String {
        if GzipInflater.isGzip(bytes) == true { return ": (compressed)" }
        let text = String(decoding: bytes(0..<min(count, limit)), as: UTF8.self)
        let words = text.split(whereSeparator: \.isWhitespace)
        return words.isEmpty ? "" : ": " + words.joined(separator: " ")
    }
}
