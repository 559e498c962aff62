import CBytes

/// Why bytes are not the head of an HTTP/1 message. No description repeats what was received.
package enum HTTPHeadError: Error, Equatable, Sendable, CustomStringConvertible {
    case tooLong(limit: Int)
    case tooManyFields(limit: Int)
    /// The first line is neither a request line nor a status line.
    case badStart
    /// HTTP, but not version 1.
    case badVersion
    /// Lines count from 1, the start line.
    case controlCharacter(line: Int)
    /// obs-fold in a request, or before the first field: RFC 9112, section 5.2.
    case folded(line: Int)
    /// In a request: RFC 9112, section 5.1.
    case spaceBeforeColon(line: Int)
    case badName(line: Int)

    package var description: String {
        switch self {
        case .tooLong(let limit): "the head is longer than \(limit) bytes"
        case .tooManyFields(let limit): "the head has more than \(limit) fields"
        case .badStart: "no HTTP: the first line is neither a request nor a status line"
        case .badVersion: "not version 1 of HTTP"
        case .controlCharacter(let line): "line \(line) of the head has a control character"
        case .folded(let line): "line \(line) of the head is the folded rest of another"
        case .spaceBeforeColon(let line): "line \(line) of the head has a space before the colon"
        case .badName(let line): "line \(line) of the head does not begin with a name and a colon"
        }
    }
}

/// The start line and the fields of an HTTP/1 message: RFC 9112, sections 2 to 5.
package struct HTTPHead: Sendable {
    /// The start line. `minor` is the 1 of HTTP/1.1.
    package enum Start: Equatable, Sendable {
        case request(method: String, target: String, minor: Int)
        case response(status: Int, reason: String, minor: Int)
    }

    /// The most fields of a request. Those of an answer have the limit of bytes.
    package static let maxFields = 100

    package var start: Start
    /// In the order received, values without the spaces around them. Bytes that are not UTF-8
    /// became U+FFFD; there are no control characters but tabs.
    package var fields: [(name: String, value: String)]

    package init(start: Start, fields: [(name: String, value: String)]) {
        self.start = start
        self.fields = fields
    }

    /// The head that `bytes` begin with and its size in bytes, the blank line included; nil while
    /// that has not come. A lone LF ends a line too, and a request may come behind one empty line
    /// (RFC 9112, section 2.2). Answers are taken as browsers take them: a folded line goes on in
    /// the next (section 5.2), and a name may have spaces before its colon (section 5.1). Throws
    /// for more than `limit` bytes, and as soon as the first line cannot be HTTP.
    package static func parse(
        _ bytes: UnsafeBufferPointer<UInt8>, limit: Int
    ) throws(HTTPHeadError) -> (head: HTTPHead, size: Int)? {
        guard var line = unsafe try nextLine(bytes, from: 0, limit) else { return nil }
        let isBehindBlank = line.content.isEmpty
        if isBehindBlank {
            guard let next = unsafe try nextLine(bytes, from: line.end, limit) else { return nil }
            line = next
        }
        let start = try Start(unsafe [UInt8](bytes.slice(line.content)))
        if isBehindBlank, case .response = start { throw .badStart }

        var isAnswer = false
        if case .response = start { isAnswer = true }
        var lines: [Range<Int>] = []
        while true {
            guard let next = unsafe try nextLine(bytes, from: line.end, limit) else { return nil }
            line = next
            if line.content.isEmpty { break }
            if lines.count == maxFields && !isAnswer { throw .tooManyFields(limit: maxFields) }
            lines.append(line.content)
        }
        var head = HTTPHead(start: start, fields: [])
        for (index, content) in lines.enumerated() {
            let text = unsafe [UInt8](bytes.slice(content))
            if isAnswer && text[0].isSpace && !head.fields.isEmpty {
                try head.unfold(text, line: index + 2)
            } else {
                head.fields.append(try field(text, line: index + 2, ofAnswer: isAnswer))
            }
        }
        return (head, line.end)
    }

    /// The value of the last field goes on behind a space.
    private mutating func unfold(_ text: [UInt8], line: Int) throws(HTTPHeadError) {
        if text.contains(where: \.isControl) { throw .controlCharacter(line: line) }
        let rest = String(decoding: text.trimmed, as: UTF8.self)
        let last = fields.count - 1
        if fields[last].value.isEmpty || rest.isEmpty {
            fields[last].value += rest
        } else {
            fields[last].value += " " + rest
        }
    }

    /// The line at `offset` without its end, and where the next one begins.
    private static func nextLine(
        _ bytes: UnsafeBufferPointer<UInt8>, from offset: Int, _ limit: Int
    ) throws(HTTPHeadError) -> (content: Range<Int>, end: Int)? {
        let count = min(bytes.count, limit)
        var lineFeed = count
        if let start = bytes.baseAddress, offset < count {
            lineFeed = unsafe offset + Int(cb_find_lf(start + offset, count - offset))
        }
        guard lineFeed < count else {
            // The blank line is still to come, and has no room.
            if bytes.count >= limit { throw .tooLong(limit: limit) }
            return nil
        }
        let hasReturn = unsafe lineFeed > offset && bytes[lineFeed - 1] == UInt8(ascii: "\r")
        return (offset..<(hasReturn ? lineFeed - 1 : lineFeed), lineFeed + 1)
    }

    private static func field(
        _ text: [UInt8], line: Int, ofAnswer isAnswer: Bool
    ) throws(HTTPHeadError) -> (name: String, value: String) {
        if text.contains(where: \.isControl) { throw .controlCharacter(line: line) }
        if text[0].isSpace { throw .folded(line: line) }
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")), colon > 0 else {
            throw .badName(line: line)
        }
        if text[colon - 1].isSpace && !isAnswer { throw .spaceBeforeColon(line: line) }
        let name = text[..<colon].trimmed
        guard !name.isEmpty, name.allSatisfy(\.isTokenCharacter) else {
            throw .badName(line: line)
        }
        return (
            String(decoding: name, as: UTF8.self),
            String(decoding: text[(colon + 1)...].trimmed, as: UTF8.self)
        )
    }
}

// MARK: Fields

extension HTTPHead {
    /// The values of all fields of that name, which is compared without regard to case.
    package func values(_ name: String) -> [String] {
        fields.filter { $0.name.isEqualIgnoringCase(name) }.map(\.value)
    }

    /// The value of the first field of that name, or nil.
    package func first(_ name: String) -> String? {
        fields.first { $0.name.isEqualIgnoringCase(name) }?.value
    }

    /// The values of all fields of that name as one list (RFC 9110, section 5.3), or nil.
    package func joined(_ name: String) -> String? {
        let values = values(name)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    /// True when a list that may span several fields has this token, in any case.
    package func hasToken(_ token: String, in name: String) -> Bool {
        values(name).contains { value in
            Self.elements(value).contains { $0.isEqualIgnoringCase(token) }
        }
    }

    /// The elements of a list of tokens, without empty ones: RFC 9110, section 5.6.1.2.
    package static func elements(_ list: String) -> [String] {
        list.utf8.split(separator: UInt8(ascii: ",")).map(\.trimmed).filter { !$0.isEmpty }
            .map { String(decoding: $0, as: UTF8.self) }
    }
}

// MARK: The start line

extension HTTPHead.Start {
    /// RFC 9112, sections 3 and 4.
    fileprivate init(_ line: [UInt8]) throws(HTTPHeadError) {
        if line.contains(where: \.isControl) { throw .controlCharacter(line: 1) }
        if line.starts(with: "HTTP/".utf8) {
            try self.init(statusLine: line)
        } else {
            try self.init(requestLine: line)
        }
    }

    private init(statusLine line: [UInt8]) throws(HTTPHeadError) {
        // The reason may have spaces or be missing; many then leave its space out too.
        let parts = line.split(
            separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2 else { throw .badStart }
        let minor = try Self.minor(parts[0])
        guard parts[1].count == 3, let status = parts[1].decimal, status >= 100 else {
            throw .badStart
        }
        let reason = parts.count == 3 ? String(decoding: parts[2].trimmed, as: UTF8.self) : ""
        self = .response(status: status, reason: reason, minor: minor)
    }

    private init(requestLine line: [UInt8]) throws(HTTPHeadError) {
        let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(\.isTokenCharacter),
            !parts[1].isEmpty, !parts[1].contains(UInt8(ascii: "\t"))
        else { throw .badStart }
        self = .request(
            method: String(decoding: parts[0], as: UTF8.self),
            target: String(decoding: parts[1], as: UTF8.self), minor: try Self.minor(parts[2]))
    }

    /// HTTP/1.x, in capitals: RFC 9112, section 2.3.
    private static func minor(_ version: ArraySlice<UInt8>) throws(HTTPHeadError) -> Int {
        let digits = version.dropFirst(5)
        guard version.starts(with: "HTTP/".utf8), let major = digits.first, major.isDigit else {
            throw .badStart
        }
        let minor = digits.dropFirst(2)
        if major != UInt8(ascii: "1") { throw .badVersion }
        guard digits.dropFirst().first == UInt8(ascii: "."), minor.count == 1,
            let number = minor.decimal
        else { throw .badStart }
        return number
    }
}

// MARK: Characters

extension UInt8 {
    /// A tchar: RFC 9110, section 5.6.2.
    package var isTokenCharacter: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(self)
        }
    }

    /// A space or a tab: RFC 9110, section 5.6.3.
    package var isSpace: Bool { self == 0x20 || self == 0x09 }

    /// What no line of a head may have: the tab is the only control character there.
    package var isControl: Bool { self < 0x20 && self != 0x09 || self == 0x7F }

    var isDigit: Bool { (0x30...0x39).contains(self) }

    /// The lower case of an ASCII letter. Unicode has other letters that become ASCII in lower
    /// case, and these must not match.
    var lowercased: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }
}

extension BidirectionalCollection<UInt8> {
    /// Without the spaces and tabs at both ends.
    package var trimmed: SubSequence {
        guard let start = firstIndex(where: { !$0.isSpace }),
            let last = lastIndex(where: { !$0.isSpace })
        else { return self[endIndex...] }
        return self[start...last]
    }

    /// The number that these decimal digits are, or nil: also when there are none, or more than 9.
    var decimal: Int? {
        guard (1...9).contains(count), allSatisfy(\.isDigit) else { return nil }
        return reduce(0) { $0 * 10 + Int($1) - 0x30 }
    }
}

extension String {
    /// True when both are the same but for the case of ASCII letters.
    package func isEqualIgnoringCase(_ other: String) -> Bool {
        utf8.elementsEqual(other.utf8) { $0.lowercased == $1.lowercased }
    }

    /// True for a token: RFC 9110, section 5.6.2.
    package var isToken: Bool { !isEmpty && utf8.allSatisfy(\.isTokenCharacter) }

    /// What a peer said as part of a message: at most 80 bytes, and only printable ASCII, because
    /// a terminal obeys more than the old control characters.
    var shown: String {
        let text = utf8.prefix(80).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
        return String(decoding: text, as: UTF8.self) + (utf8.count > 80 ? "..." : "")
    }
}
