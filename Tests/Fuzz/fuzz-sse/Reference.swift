import FuzzSupport
import StreamCodec

/// WHATWG HTML 9.2.6, sentence by sentence, over a whole stream: slow and without any code of the
/// decoder. The last block is dispatched too.
func readEvents(_ stream: [UInt8], collectsComments: Bool) -> [Decoded] {
    // The standard library replaces maximal subparts as the Encoding Standard does.
    var text = Array(String(decoding: stream, as: UTF8.self).utf8)
    if text.starts(with: [0xEF, 0xBB, 0xBF]) { text.removeFirst(3) }
    var events: [Decoded] = []
    var block = Block(firstLine: 1, collectsComments: collectsComments)
    let (lines, tail) = split(text)
    for (index, line) in lines.enumerated() {
        if !line.isEmpty {
            block.take(line)
            continue
        }
        if let event = block.event { events.append(event) }
        block = Block(
            firstLine: index + 2, collectsComments: collectsComments,
            id: block.isSpent ? nil : block.fields.id)
    }
    if !tail.isEmpty { block.take(tail) }
    if block.data != nil, let event = block.event { events.append(event) }
    return events
}

/// The lines that ended, and what comes behind them.
private func split(_ text: [UInt8]) -> (lines: [[UInt8]], tail: [UInt8]) {
    var lines: [[UInt8]] = []
    var line: [UInt8] = []
    for (index, byte) in text.enumerated() {
        switch byte {
        case 0x0A where index > 0 && text[index - 1] == 0x0D: break
        case 0x0A, 0x0D:
            lines.append(line)
            line = []
        default: line.append(byte)
        }
    }
    return (lines, line)
}

private struct Block {
    var fields = EventFields()
    var data: [UInt8]?
    let firstLine: Int
    let collectsComments: Bool

    init(firstLine: Int, collectsComments: Bool, id: [UInt8]? = nil) {
        self.firstLine = firstLine
        self.collectsComments = collectsComments
        fields.id = id
    }

    /// True when its end hands something out, and the id with it.
    var isSpent: Bool {
        data != nil || collectsComments && (fields.retry != nil || fields.comment != nil)
    }

    var event: Decoded? {
        if let data { return .event(fields, data: shown(data), line: firstLine) }
        return isSpent ? .note(fields) : nil
    }

    mutating func take(_ line: [UInt8]) {
        let parts = line.split(
            separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        var value = parts.count == 2 ? Array(parts[1]) : []
        if value.first == UInt8(ascii: " ") { value.removeFirst() }
        switch String(decoding: parts[0], as: UTF8.self) {
        case "" where parts.count == 2:
            if collectsComments {
                fields.comment = fields.comment.map { $0 + [0x0A] + value } ?? value
            }
        case "event": fields.type = value
        case "data": data = data.map { $0 + [0x0A] + value } ?? value
        case "id": if !value.contains(0) { fields.id = value }
        case "retry":
            // Eighteen digits are what the decoder promises to keep.
            if (1...18).contains(value.count), value.allSatisfy({ (0x30...0x39).contains($0) }) {
                fields.retry = Int(String(decoding: value, as: UTF8.self))
            }
        default: break
        }
    }
}
