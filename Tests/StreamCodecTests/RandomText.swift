/// A member of an event record whose value is text.
typealias Text = [Unicode.Scalar]

func bytes(_ text: Text) -> [UInt8] { text.flatMap { Array(UTF8.encode($0)!) } }

extension SplitMix64 {
    /// A length near what the vector code works in: blocks of 8, 16, 32 and 64 bytes.
    mutating func length() -> Int {
        switch number(0...9) {
        case 0: 0
        case 1...4: number(1...12)
        case 5...7: max(0, pick([8, 16, 32, 64, 128]) + number(-3...3))
        case 8: number(0...300)
        default: number(300...3000)
        }
    }

    /// Text with much of what needs care, in runs of it and of what needs none.
    mutating func text(length: Int, lineBreaks: Bool, nul: Bool = true) -> Text {
        var text: Text = []
        while text.count < length {
            let run = chance(1, in: 3) ? number(1...40) : 1
            let scalar = scalar()
            let isBreak = scalar == "\n" || scalar == "\r"
            if (isBreak && !lineBreaks) || (scalar.value == 0 && !nul) { continue }
            if isBreak && chance(1, in: 3) {
                text += ["\r", "\n"]
            } else if scalar == "a" {
                for _ in 0..<run { text.append(Unicode.Scalar(UInt8(number(0x20...0x7E)))) }
            } else {
                for _ in 0..<min(run, 5) { text.append(scalar) }
            }
        }
        return Array(text.prefix(length))
    }

    mutating func text(lineBreaks: Bool = true, nul: Bool = true) -> Text {
        let length = length()
        return text(length: length, lineBreaks: lineBreaks, nul: nul)
    }

    /// "a" stands for whatever is harmless.
    private mutating func scalar() -> Unicode.Scalar {
        switch number(0...11) {
        case 0: pick(["\"", "\\", "/"])
        case 1: pick(["\n", "\r"])
        case 2: Unicode.Scalar(UInt8(number(0...0x1F)))
        case 3:
            pick([
                "ä", "€", "\u{2028}", "\u{85}", "\u{FEFF}", "\u{FFFD}", "\u{10FFFF}", "\u{D7FF}",
                "\u{E000}", "😀", "\u{7F}", "\u{80}", "\u{7FF}", "\u{800}", "\u{10000}",
            ])
        case 4: Unicode.Scalar(UInt32(number(0x80...0xD7FF)))!
        case 5: pick([":", " ", "{", "}", "[", "]", ",", "'"])
        default: "a"
        }
    }

    // MARK: JSON

    /// The text as a JSON string in one of its many spellings.
    mutating func quoted(_ text: Text) -> [UInt8] {
        var json = [UInt8(ascii: "\"")]
        let escapesMore = chance(1, in: 4)
        for scalar in text {
            let mustEscape = scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
            if let letter = shortEscape(scalar), chance(3, in: 4) {
                json += [UInt8(ascii: "\\"), letter]
            } else if mustEscape || (escapesMore && chance(1, in: 3)) {
                for unit in UTF16.encode(scalar)! { json += unicodeEscape(unit) }
            } else if scalar == "/" && chance(1, in: 2) {
                json += bytes("\\/")
            } else {
                json += Array(UTF8.encode(scalar)!)
            }
        }
        return json + [UInt8(ascii: "\"")]
    }

    mutating func unicodeEscape(_ unit: UInt16) -> [UInt8] {
        let digits = String(unit, radix: 16, uppercase: chance(1, in: 2))
        return bytes("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
    }

    private func shortEscape(_ scalar: Unicode.Scalar) -> UInt8? {
        switch scalar {
        case "\"", "\\": UInt8(scalar.value)
        case "\u{8}": UInt8(ascii: "b")
        case "\u{C}": UInt8(ascii: "f")
        case "\n": UInt8(ascii: "n")
        case "\r": UInt8(ascii: "r")
        case "\t": UInt8(ascii: "t")
        default: nil
        }
    }

    /// Space between tokens that breaks no line.
    mutating func space() -> [UInt8] {
        guard chance(1, in: 4) else { return [] }
        return (0..<number(1...3)).map { _ in UInt8(pick([0x20, 0x09])) }
    }

    /// A JSON value on one line.
    mutating func json(depth: Int = 4) -> [UInt8] {
        switch number(0...(depth > 0 ? 7 : 5)) {
        case 0: return bytes(pick(["true", "false", "null"]))
        case 1: return bytes(String(number(-1_000_000...1_000_000)))
        case 2:
            return bytes(
                pick([
                    "0", "-0", "1.0", "1e1000", "-1E-7", "0.1e+5", "18446744073709551616",
                    "123456789012345678901234567890.000",
                ]))
        case 3...5:
            let text = depth == 4 ? text() : text(length: number(0...20), lineBreaks: true)
            return quoted(text)
        case 6: return list("[", "]") { $0.json(depth: depth - 1) }
        default:
            return list("{", "}") { random in
                let key = random.text(length: random.number(0...5), lineBreaks: true)
                return random.quoted(key) + random.space() + bytes(":") + random.space()
                    + random.json(depth: depth - 1)
            }
        }
    }

    private mutating func list(
        _ open: String, _ close: String, _ item: (inout SplitMix64) -> [UInt8]
    ) -> [UInt8] {
        var json = bytes(open) + space()
        for index in 0..<number(0...4) {
            if index > 0 { json += bytes(",") + space() }
            json += item(&self) + space()
        }
        return json + bytes(close)
    }

    // MARK: Bytes

    /// Bytes that are nearly UTF-8: valid text with some bytes changed, left out or put in.
    mutating func nearlyUTF8(length: Int) -> [UInt8] {
        var result = bytes(text(length: length, lineBreaks: true))
        for _ in 0..<number(0...3) where !result.isEmpty {
            let place = number(0...(result.count - 1))
            switch number(0...2) {
            case 0: result[place] = strangeByte()
            case 1: result.remove(at: place)
            default: result.insert(strangeByte(), at: place)
            }
        }
        return result
    }

    /// The bounds of what each place of a sequence may hold.
    mutating func strangeByte() -> UInt8 {
        pick([
            0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
            0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFE, 0xFF,
            UInt8(number(0...255)),
        ])
    }
}
