import StreamCodec

/// `PATH=VALUE`: what an option asks of a line.
package struct Condition {
    package let path: JSONPath
    /// As it was given: the text of a string, or the JSON text of another value.
    private let text: [UInt8]
    /// What it stands for when it was given as a JSON string.
    private let string: [UInt8]?

    /// Cut at the first '=' outside quotes.
    package init(_ argument: String) throws {
        let bytes = Array(argument.utf8)
        let split = JSONPath.firstOutsideQuotes(UInt8(ascii: "="), in: bytes)
        if let problem = Self.misreading(of: bytes, split) {
            throw UsageError(
                "expected PATH=VALUE, not '\(argument)': \(problem); a key that has such"
                    + " characters needs quotes, as in '.\"a>b\"=1'")
        }
        guard let split else { throw UsageError("expected PATH=VALUE, not '\(argument)'") }
        do throws(JSONPath.ParseError) {
            path = try JSONPath(String(decoding: bytes[..<split], as: UTF8.self))
        } catch {
            throw UsageError(error.description)
        }
        text = Array(bytes[(split + 1)...])
        string = text.withUnsafeBufferPointer { bytes in
            guard bytes.first == UInt8(ascii: "\""), JSON.isValid(bytes) else { return nil }
            var queue = ByteQueue()
            queue.append(replacing: bytes.slice(1..<(bytes.count - 1)))
            return Array(queue.bytes)
        }
    }

    /// What a writer who thinks of operators has to know; nil for a condition without any.
    private static func misreading(of argument: [UInt8], _ split: Int?) -> String? {
        let noOperators = "only equality can be asked for, and there are no operators such as"
        let path = argument[..<(split ?? argument.count)]
        // In a pointer there are no quotes, and any key may stand; only the usual form is told.
        if path.first == UInt8(ascii: "/") {
            if let split, let last = path.last, "<>!".utf8.contains(last) {
                return "\(noOperators) \(String(decoding: [last, argument[split]], as: UTF8.self))"
            }
        } else {
            for name in ["<=", ">=", "!=", "!~", "~=", "<", ">", "!"] {
                guard let first = name.utf8.first,
                    let place = JSONPath.firstOutsideQuotes(first, in: Array(path))
                else { continue }
                let found = argument[place...].starts(with: name.utf8)
                if found { return "\(noOperators) \(name)" }
            }
        }
        guard let split else { return nil }
        if argument.dropFirst(split + 1).first == UInt8(ascii: "=") {
            return "\(noOperators) == (a text that begins with = needs quotes, too)"
        }
        if argument[..<split].last == UInt8(ascii: " ") { return "no space stands before the =" }
        return nil
    }

    /// True when this JSON text is the value; nil stands for null.
    package func holds(for value: UnsafeBufferPointer<UInt8>?) -> Bool {
        guard let value else { return text == Array("null".utf8) }
        guard value.first == UInt8(ascii: "\"") else { return value.isEqual(to: text) }
        let contents = value.slice(1..<(value.count - 1))
        return contents.unescapes(to: text) || string.map { contents.unescapes(to: $0) } ?? false
    }

    /// True when this plain text is the value.
    package func holds(forText line: UnsafeBufferPointer<UInt8>) -> Bool {
        line.isEqual(to: text) || string.map { line.isEqual(to: $0) } ?? false
    }
}

extension Option {
    /// `PATH=VALUE`; may be given more than once.
    package static func condition(
        _ long: String, _ add: @escaping (inout Settings, Condition) -> Void, _ text: String
    ) -> Option {
        Option(nil, long, text, argument: .required("PATH=VALUE")) { settings, value in
            add(&settings, try Condition(value ?? ""))
        }
    }
}
