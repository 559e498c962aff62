import StreamTool

/// Names and passwords by host: the file .netrc of ftp(1), with quoted tokens as curl has them.
struct Netrc {
    struct Entry: Equatable {
        /// Nil for `default`.
        var machine: String?
        var login: String?
        var password: String?
    }

    private(set) var entries: [Entry] = []

    /// Reads a file: $NETRC or ~/.netrc when none is named.
    init(_ files: SecretFiles, file: String?) throws {
        let path: String
        if let file = file ?? Proxy.variable("NETRC") {
            path = file
        } else if let home = Proxy.variable("HOME") {
            path = home + "/.netrc"
        } else {
            throw UsageError("--netrc needs HOME or NETRC in the environment")
        }
        guard let parsed = Netrc(bytes: try files.contents(path)) else {
            throw Failure(.badConfiguration, "\(path): not understood as .netrc")
        }
        self = parsed
    }

    /// A `#` where a word of the format could be begins a comment to the end of the line; in a
    /// value, as in a password, it does not.
    ///
    /// Nil when a word is not one of the format's, lacks its value, or a quote is not closed.
    init?(bytes: [UInt8]) {
        var tokens = Tokens(bytes: bytes)
        while let word = tokens.next() {
            switch word {
            case "machine":
                guard let name = tokens.next() else { return nil }
                entries.append(Entry(machine: name))
            case "default": entries.append(Entry())
            case "login", "user":
                guard let name = tokens.next(), !entries.isEmpty else { return nil }
                entries[entries.count - 1].login = name
            case "password", "passwd":
                guard let secret = tokens.next(), !entries.isEmpty else { return nil }
                entries[entries.count - 1].password = secret
            case "account":
                guard tokens.next() != nil else { return nil }
            case "macdef": tokens.skipMacro()
            case let comment where comment.utf8.first == UInt8(ascii: "#"): tokens.skipLine()
            default: return nil
            }
        }
        if tokens.isBroken { return nil }
    }

    /// The first entry for the host, and for the login when there is one; `default` when it comes
    /// first.
    func entry(for host: String, login: String?) -> Entry? {
        entries.first { entry in
            (entry.machine == nil || entry.machine?.lowercased() == host.lowercased())
                && (login == nil || entry.login == nil || entry.login == login)
        }
    }
}

/// The words of a .netrc.
private struct Tokens {
    let bytes: [UInt8]
    private var position = 0
    /// A quote was not closed, or what was read is no UTF-8.
    private(set) var isBroken = false

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The next word; nil at the end.
    mutating func next() -> String? {
        skipBlanks()
        guard position < bytes.count, !isBroken else { return nil }
        let isQuoted = bytes[position] == UInt8(ascii: "\"")
        let word = isQuoted ? quoted() : plain()
        guard let word, let text = String(validating: word, as: UTF8.self) else {
            isBroken = true
            return nil
        }
        return text
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || (9...13).contains(byte)
    }

    private mutating func skipBlanks() {
        while position < bytes.count && Self.isBlank(bytes[position]) { position += 1 }
    }

    private mutating func plain() -> [UInt8]? {
        let start = position
        while position < bytes.count && !Self.isBlank(bytes[position]) { position += 1 }
        return Array(bytes[start..<position])
    }

    /// Nil when the quote is not closed.
    private mutating func quoted() -> [UInt8]? {
        var word: [UInt8] = []
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\"") { return word }
            guard byte == UInt8(ascii: "\\") else {
                word.append(byte)
                continue
            }
            guard position < bytes.count else { return nil }
            switch bytes[position] {
            case UInt8(ascii: "n"): word.append(UInt8(ascii: "\n"))
            case UInt8(ascii: "r"): word.append(UInt8(ascii: "\r"))
            case UInt8(ascii: "t"): word.append(UInt8(ascii: "\t"))
            case let other: word.append(other)
            }
            position += 1
        }
        return nil
    }

    /// Goes to the end of the line, behind the word that was read last or in a macro.
    mutating func skipLine() {
        while position < bytes.count && bytes[position] != UInt8(ascii: "\n") { position += 1 }
    }

    /// A macro ends with an empty line.
    mutating func skipMacro() {
        skipLine()
        while position < bytes.count {
            position += 1
            let start = position
            skipLine()
            if position == start { return }
        }
    }
}
