/// A JSON value as RFC 8259 describes it, read one byte after the other: slow, recursive and
/// without any code of the tools.
indirect enum Value {
    case object([(key: Text, value: Value)], Range<Int>)
    case array([Value], Range<Int>)
    case string(Text, Range<Int>)
    case other(Range<Int>)

    /// Where it stands.
    var range: Range<Int> {
        switch self {
        case .object(_, let range), .array(_, let range), .string(_, let range),
            .other(let range):
            range
        }
    }
}

/// What a string stands for, in UTF-16 code units, which is what JSON escapes spell.
struct Text {
    /// Where it stands, the quotes not included.
    var contents: Range<Int>
    /// Each unit and where it was spelt.
    var units: [(unit: UInt16, offset: Int)] = []

    /// Where half a surrogate pair stands alone.
    var loneSurrogate: Int? {
        var index = 0
        while index < units.count {
            switch units[index].unit {
            case 0xD800...0xDBFF:
                guard index + 1 < units.count, 0xDC00...0xDFFF ~= units[index + 1].unit else {
                    return units[index].offset
                }
                index += 2
            case 0xDC00...0xDFFF: return units[index].offset
            default: index += 1
            }
        }
        return nil
    }

    /// As UTF-8, U+FFFD for lone surrogates.
    var repaired: [UInt8] { Array(String(decoding: units.map(\.unit), as: UTF16.self).utf8) }
}

/// The first byte that no JSON text can have here, or the length.
struct Invalid: Error {
    var offset: Int
}

struct Reader {
    let bytes: [UInt8]
    let maxDepth: Int
    private var at = 0

    init(_ bytes: [UInt8], maxDepth: Int) {
        self.bytes = bytes
        self.maxDepth = maxDepth
    }

    static func read(_ bytes: [UInt8], maxDepth: Int) throws(Invalid) -> Value {
        var reader = Reader(bytes, maxDepth: maxDepth)
        let illFormed = firstIllFormed(bytes)
        do throws(Invalid) {
            let value = try reader.value(depth: 0)
            reader.skipSpace()
            if reader.at < bytes.count { throw Invalid(offset: reader.at) }
            if let illFormed { throw Invalid(offset: illFormed) }
            return value
        } catch {
            throw Invalid(offset: min(error.offset, illFormed ?? error.offset))
        }
    }

    private static func firstIllFormed(_ bytes: [UInt8]) -> Int? {
        var decoder = UTF8()
        var rest = bytes.makeIterator()
        var offset = 0
        while true {
            switch decoder.decode(&rest) {
            case .scalarValue(let scalar): offset += UTF8.width(scalar)
            case .emptyInput: return nil
            case .error: return offset
            }
        }
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { at += 1 }
    }

    private mutating func take(_ character: Character) throws(Invalid) {
        guard next == character.asciiValue else { throw Invalid(offset: at) }
        at += 1
    }

    private mutating func value(depth: Int) throws(Invalid) -> Value {
        skipSpace()
        let start = at
        guard let byte = next else { throw Invalid(offset: at) }
        switch Character(Unicode.Scalar(byte)) {
        case "{", "[":
            if depth == maxDepth { throw Invalid(offset: at) }
            return byte == UInt8(ascii: "{") ? try object(depth) : try array(depth)
        case "\"": return .string(try string(), start..<at)
        case "-", "0"..."9": try number()
        case "t": for character in "true" { try take(character) }
        case "f": for character in "false" { try take(character) }
        case "n": for character in "null" { try take(character) }
        default: throw Invalid(offset: at)
        }
        return .other(start..<at)
    }

    private mutating func object(_ depth: Int) throws(Invalid) -> Value {
        let start = at
        var members: [(key: Text, value: Value)] = []
        try take("{")
        skipSpace()
        if next != UInt8(ascii: "}") {
            while true {
                let key = try string()
                skipSpace()
                try take(":")
                members.append((key, try value(depth: depth + 1)))
                skipSpace()
                if next != UInt8(ascii: ",") { break }
                at += 1
                skipSpace()
            }
        }
        try take("}")
        return .object(members, start..<at)
    }

    private mutating func array(_ depth: Int) throws(Invalid) -> Value {
        let start = at
        var elements: [Value] = []
        try take("[")
        skipSpace()
        if next != UInt8(ascii: "]") {
            while true {
                elements.append(try value(depth: depth + 1))
                skipSpace()
                if next != UInt8(ascii: ",") { break }
                at += 1
            }
        }
        try take("]")
        return .array(elements, start..<at)
    }

    private mutating func digits() throws(Invalid) {
        guard let byte = next, 0x30...0x39 ~= byte else { throw Invalid(offset: at) }
        while let byte = next, 0x30...0x39 ~= byte { at += 1 }
    }

    private mutating func number() throws(Invalid) {
        if next == UInt8(ascii: "-") { at += 1 }
        if next == UInt8(ascii: "0") { at += 1 } else { try digits() }
        if next == UInt8(ascii: ".") {
            at += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            at += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { at += 1 }
            try digits()
        }
    }

    private mutating func string() throws(Invalid) -> Text {
        try take("\"")
        var text = Text(contents: at..<at)
        while let byte = next, byte != UInt8(ascii: "\"") {
            let start = at
            if byte == UInt8(ascii: "\\") {
                text.units.append((try escape(), start))
                continue
            }
            if byte < 0x20 { throw Invalid(offset: at) }
            at += 1
            while let more = next, more & 0xC0 == 0x80 { at += 1 }
            // Ill-formed UTF-8 is found elsewhere; what stands for it here never counts.
            for unit in String(decoding: bytes[start..<at], as: UTF8.self).utf16 {
                text.units.append((unit, start))
            }
        }
        text.contents = text.contents.lowerBound..<at
        try take("\"")
        return text
    }

    private mutating func escape() throws(Invalid) -> UInt16 {
        try take("\\")
        guard let letter = next else { throw Invalid(offset: at) }
        at += 1
        switch Character(Unicode.Scalar(letter)) {
        case "\"", "\\", "/": return UInt16(letter)
        case "b": return 8
        case "t": return 9
        case "n": return 10
        case "f": return 12
        case "r": return 13
        case "u":
            var unit: UInt16 = 0
            for _ in 0..<4 {
                guard let byte = next,
                    let digit = Character(Unicode.Scalar(byte)).hexDigitValue
                else { throw Invalid(offset: at) }
                unit = unit << 4 | UInt16(digit)
                at += 1
            }
            return unit
        default: throw Invalid(offset: at - 1)
        }
    }
}
