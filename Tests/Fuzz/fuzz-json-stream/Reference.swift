import FuzzSupport
import StreamCodec

/// What a reader found.
struct Found: Equatable, CustomStringConvertible {
    enum Kind { case value, invalid, tooLong }

    var kind: Kind
    var text: [UInt8]
    var line: Int
    var error: String

    init(_ kind: Kind, _ text: [UInt8], _ line: Int, _ error: String = "") {
        self.kind = kind
        self.text = text
        self.line = line
        self.error = error
    }

    var withoutError: Found { Found(kind, text, line) }

    var description: String { "\(line): \(kind) \(shown(text)) \(error)" }
}

/// The values of a whole input up to the first error, found with nothing but the question whether
/// some bytes are a JSON text: slow.
func referenceValues(_ input: [UInt8], maxDepth: Int) -> (values: [Found], isRight: Bool) {
    var at = input.starts(with: UTF8Text.byteOrderMark) ? 3 : 0
    var values: [Found] = []
    var isInArray = false
    var last: UInt8?
    while at < input.count {
        let byte = input[at]
        if isSpace(byte) {
            at += 1
            continue
        }
        let isElement = last != nil && last != UInt8(ascii: "[") && last != UInt8(ascii: ",")
        switch byte {
        case UInt8(ascii: "[") where !isInArray:
            isInArray = true
            last = byte
            at += 1
        case UInt8(ascii: "]") where isInArray && last != UInt8(ascii: ","):
            isInArray = false
            last = nil
            at += 1
        case UInt8(ascii: ",") where isInArray && isElement:
            last = byte
            at += 1
        default:
            guard !isInArray || !isElement,
                let end = endOfValue(input, from: at, maxDepth: maxDepth)
            else { return (values, false) }
            values.append(Found(.value, Array(input[at..<end]), line(at, input)))
            if isInArray { last = UInt8(ascii: "0") }
            at = end
        }
    }
    return (values, !isInArray)
}

/// The texts of a whole input between separators, and what else stands there.
func referenceTexts(_ input: [UInt8], maxDepth: Int) -> [Found] {
    let start = input.starts(with: UTF8Text.byteOrderMark) ? 3 : 0
    let parts = input[start...].split(separator: 0x1E, omittingEmptySubsequences: false)
    var found = junk(parts[0], input)
    for part in parts.dropFirst() {
        let begin = part.firstIndex { !isSpace($0) } ?? part.endIndex
        if begin == part.endIndex { continue }
        let ends = part.indices.filter { $0 > begin && part[$0] == UInt8(ascii: "\n") }
        let end = ends.first { isText(part[begin..<$0], maxDepth) }
        if let end {
            found.append(Found(.value, trimmed(part[begin..<end]), line(begin, input)))
            found += junk(part[end...], input)
            continue
        }
        // A number or a literal needs white space behind it to be whole.
        let text = trimmed(part[begin...])
        let isWhole =
            "{[\"".utf8.contains(text[0]) || part.last.map { isSpace($0) } ?? false
        let isValue = isWhole && isText(text[...], maxDepth)
        found.append(Found(isValue ? .value : .invalid, text, line(begin, input)))
    }
    return found
}

private func junk(_ part: ArraySlice<UInt8>, _ input: [UInt8]) -> [Found] {
    part.split(separator: UInt8(ascii: "\n")).compactMap { text in
        let text = text.drop { isSpace($0) }
        return text.isEmpty ? nil : Found(.invalid, Array(text), line(text.startIndex, input))
    }
}

private func endOfValue(_ input: [UInt8], from start: Int, maxDepth: Int) -> Int? {
    if "{[\"".utf8.contains(input[start]) {
        return input.indices.dropFirst(start + 1).first {
            "}]\"".utf8.contains(input[$0]) && isText(input[start...$0], maxDepth)
        }.map { $0 + 1 }
    }
    let end =
        input[start...].firstIndex { isSpace($0) || "{}[]\",".utf8.contains($0) } ?? input.count
    return isText(input[start..<end], maxDepth) ? end : nil
}

private func isText(_ bytes: ArraySlice<UInt8>, _ maxDepth: Int) -> Bool {
    withExactCopy(Array(bytes)) { JSON.isValid($0, maxDepth: maxDepth) }
}

private func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    let end = bytes.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? bytes.startIndex
    return Array(bytes[..<end])
}

private func line(_ offset: Int, _ input: [UInt8]) -> Int {
    1 + input[..<offset].count { $0 == UInt8(ascii: "\n") }
}

private func isSpace(_ byte: UInt8) -> Bool { " \t\r\n".utf8.contains(byte) }
