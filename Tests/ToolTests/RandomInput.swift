/// Text of random characters, among them all that are special somewhere.
func randomText(_ random: inout SeededGenerator) -> String {
    let characters = [
        "a", "b", ":", " ", "\n", "\r", "\r\n", "\"", "\\", "/", "\t", "{", "}", "[", "]", "\u{0}",
        "\u{1}", "\u{7F}", "é", "☕", "𝄞", "\u{2028}", "\u{85}", "\u{FEFF}", "data:", "id: 1", "1",
    ]
    return (0..<Int.random(in: 0...12, using: &random)).map { _ in
        characters.randomElement(using: &random) ?? ""
    }.joined()
}

/// The text as a JSON string, some characters escaped that need not be.
func quoted(_ text: String, _ random: inout SeededGenerator) -> String {
    var result = "\""
    for unit in text.unicodeScalars {
        let short: [Unicode.Scalar: String] = [
            "\n": "\\n", "\r": "\\r", "\t": "\\t", "\"": "\\\"", "\\": "\\\\",
        ]
        if let escape = short[unit] {
            result += escape
        } else if unit.value < 0x20 || Int.random(in: 0..<8, using: &random) == 0 {
            for half in String(unit).utf16 {
                let digits = String(half, radix: 16, uppercase: Bool.random(using: &random))
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        } else {
            result.unicodeScalars.append(unit)
        }
    }
    return result + "\""
}

/// A JSON value on one line, with white space where that may be.
func randomJSON(_ random: inout SeededGenerator, depth: Int) -> String {
    let space = { (random: inout SeededGenerator) in
        ["", "", "", " ", "\t", "  "].randomElement(using: &random) ?? ""
    }
    switch Int.random(in: 0..<(depth > 0 ? 7 : 5), using: &random) {
    case 0: return ["true", "false", "null"].randomElement(using: &random) ?? "null"
    case 1, 2:
        let numbers = ["0", "-0", "1.0", "1e1000", "9007199254740993", "-12.50E-7", "3"]
        return numbers.randomElement(using: &random) ?? "0"
    case 3, 4: return quoted(randomText(&random), &random)
    case 5:
        let values = (0..<Int.random(in: 0...4, using: &random)).map { _ in
            space(&random) + randomJSON(&random, depth: depth - 1) + space(&random)
        }
        return "[" + values.joined(separator: ",") + "]"
    default:
        let members = (0..<Int.random(in: 0...4, using: &random)).map { _ in
            space(&random) + quoted(randomText(&random), &random) + space(&random) + ":"
                + space(&random) + randomJSON(&random, depth: depth - 1)
        }
        return "{" + members.joined(separator: ",") + "}"
    }
}

/// Bytes that look like an event stream, more or less.
func randomStream(_ random: inout SeededGenerator) -> [UInt8] {
    let pieces: [[UInt8]] =
        [
            "data: ", "data:", "data", "event: ", "event:", "id: ", "id", "id:", "retry: ",
            "retry: 10",
            ": ", ":", "\n", "\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "x", " ", "\u{0}", "☕", "𝄞",
            "{\"a\":1}", "{\"a\":", "[DONE]", "\"", "\\", "foo: ", "\u{FEFF}", "\u{2028}", "a:b",
            "7",
        ].map { Array($0.utf8) } + [[0xFF], [0xE2, 0x98], [0xF0, 0x9D], [0xC0], [0x80]]
    var stream = Array("data: begin\n\n".utf8)
    for _ in 0..<Int.random(in: 0...300, using: &random) {
        stream += pieces.randomElement(using: &random) ?? []
    }
    return stream
}

/// Any bytes, now and then with a gzip head.
func randomBytes(_ random: inout SeededGenerator) -> [UInt8] {
    let count = Int.random(in: 0...4000, using: &random)
    var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    if Int.random(in: 0..<4, using: &random) == 0 {
        bytes = [0x1F, 0x8B, 8, UInt8.random(in: 0...31, using: &random)] + bytes
    }
    return bytes
}
