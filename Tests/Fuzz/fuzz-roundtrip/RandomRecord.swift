import FuzzSupport
import StreamCodec

/// A record that an input describes, and what has to come of it.
struct RandomRecord {
    var event: String?
    var id: String?
    /// A string, or JSON text that stands for itself.
    var data: String?
    var isJSON = false
    var retry: Int?
    var comment: String?

    init(_ choices: inout Choices) {
        let members = choices.byte()
        if members & 1 != 0 { event = Self.text(&choices, upTo: 12) }
        if members & 2 != 0 { id = Self.text(&choices, upTo: 12) }
        if members & 4 != 0 { comment = Self.text(&choices, upTo: 40) }
        if members & 8 != 0 { retry = choices.number(upTo: 65_535) }
        if members & 16 == 0 {
            data = Self.text(&choices, upTo: 255)
            isJSON = members & 32 != 0
        }
        // Text that is no JSON goes as an array that holds it.
        if let data, isJSON { self.data = "[\(Self.spelt(data, .short))]" }
    }

    private static func text(_ choices: inout Choices, upTo limit: Int) -> String {
        let size = choices.number(upTo: limit)
        let bytes = (0..<min(size, choices.rest.count)).map { _ in choices.byte() }
        return String(decoding: bytes.reversed(), as: UTF8.self)
    }

    /// CR, LF and NUL where they would break the line must be refused, and nothing else.
    var mustBeRefused: Bool {
        let breaks: (Unicode.Scalar) -> Bool = { $0 == "\n" || $0 == "\r" }
        return event?.unicodeScalars.contains(where: breaks) == true
            || id?.unicodeScalars.contains { breaks($0) || $0 == "\0" } == true
    }

    // MARK: As a line

    enum Spelling { case short, escaped }

    func line(_ spelling: Spelling) -> [UInt8] {
        var members: [String] = []
        if let event { members.append("\"event\":\(Self.spelt(event, spelling))") }
        if let id { members.append("\"id\":\(Self.spelt(id, spelling))") }
        if let data {
            members.append("\"data\":" + (isJSON ? data : Self.spelt(data, spelling)))
        }
        if let retry { members.append("\"retry\":\(retry)") }
        if let comment { members.append("\"comment\":\(Self.spelt(comment, spelling))") }
        return Array("{\(members.joined(separator: ","))}".utf8)
    }

    /// A JSON string of the text: only what must be is escaped, or every UTF-16 unit is.
    private static func spelt(_ text: String, _ spelling: Spelling) -> String {
        var result = "\""
        for unit in text.utf16 where spelling == .escaped {
            let digits = String(unit, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
        for scalar in text.unicodeScalars where spelling == .short {
            switch scalar {
            case "\"", "\\": result += "\\"
            case "\n":
                result += "\\n"
                continue
            case "\0"..."\u{1F}":
                result += "\\u00" + (scalar.value < 16 ? "0" : "")
                result += String(scalar.value, radix: 16)
                continue
            default: break
            }
            result.unicodeScalars.append(scalar)
        }
        return result + "\""
    }

    // MARK: As it comes back

    /// What decoding finds; nil when the record has nothing to dispatch.
    var expected: Decoded? {
        var fields = EventFields()
        if let event, event != "message" { fields.type = Array(event.utf8) }
        fields.id = id.map { Array($0.utf8) }
        fields.retry = retry
        fields.comment = comment.map(Self.received)
        if let data { return .event(fields, data: shown(Self.received(data)), line: 1) }
        return retry != nil || comment != nil ? .note(fields) : nil
    }

    /// CR and CR LF end lines like LF, and come back as LF.
    private static func received(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if byte == 0x0A && index > 0 && bytes[index - 1] == 0x0D { continue }
            result.append(byte == 0x0D ? 0x0A : byte)
        }
        return result
    }
}
