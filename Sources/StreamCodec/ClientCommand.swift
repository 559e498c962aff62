/// What a client of stream-serve asks for in a message: an object with "type" and "ref" and what
/// belongs to the type.
package struct ClientCommand: Equatable, Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        case subscribe, unsubscribe, publish, ping, history
    }

    /// Why a message is no command.
    package struct Problem: Error, Equatable, CustomStringConvertible {
        /// As in a command, if it was found.
        package var ref: Range<Int>?
        package var description: String
    }

    /// Bytes of a ref, its quotes included.
    package static let maxRef = 256

    package var kind: Kind
    /// Where the scalar stands in the message that the answer repeats.
    package var ref: Range<Int>?
    /// Of "channel", a string or strings; they may be no names or patterns. None for all.
    package var channels: [String]
    /// Without line breaks and NUL.
    package var event: String?
    /// Where the value stands in the message.
    package var data: Range<Int>?
    /// A string, or the digits of a number.
    package var since: String?
    /// "n".
    package var count: Int?

    /// Reads the command that the message is.
    package init(
        _ message: UnsafeBufferPointer<UInt8>, maxDepth: Int = JSON.defaultMaxDepth
    ) throws(Problem) {
        var members = Members()
        do throws(RecordError) {
            try unsafe JSONScanner.readRecord(
                message, maxDepth: maxDepth,
                notAnObject: .message("expected a command, a JSON object")
            ) { key, value in
                do throws(Problem) {
                    try unsafe members.take(value, for: key, of: message)
                    return nil
                } catch {
                    let reason = RecordError.Reason.message(error.description)
                    return RecordError(offset: value.lowerBound, reason: reason)
                }
            }
        } catch {
            // The answer is text, and the message need not be.
            let isText = members.ref.map { unsafe UTF8Text.isValid(message.slice($0)) }
            throw Problem(ref: isText == true ? members.ref : nil, description: Self.words(error))
        }
        do throws(Problem) {
            kind = try members.checkedKind()
        } catch {
            throw Problem(ref: members.ref, description: error.description)
        }
        ref = members.ref
        channels = members.channels
        event = members.event
        data = members.data
        since = members.since
        count = members.count
    }

    private static func words(_ error: RecordError) -> String {
        switch error.reason {
        case .json(.trailing): "no JSON at byte \(error.offset): expected the end of the message"
        case .json(.depth(let limit)): "nested deeper than \(limit) levels"
        case .json: "no JSON at byte \(error.offset): \(error.description)"
        default: error.description
        }
    }
}

private enum Member: String {
    case type, channel, event, data, since, n, ref
}

extension ClientCommand.Kind {
    fileprivate var required: [Member] {
        switch self {
        case .subscribe, .unsubscribe: [.channel]
        case .publish: [.data]
        case .ping, .history: []
        }
    }

    /// Beside "type" and "ref".
    fileprivate var optional: [Member] {
        switch self {
        case .subscribe: [.since]
        case .publish: [.channel, .event]
        case .history: [.channel, .since, .n]
        case .unsubscribe, .ping: []
        }
    }

    fileprivate static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// The members of a message, as they come.
private struct Members {
    typealias Problem = ClientCommand.Problem

    /// In their order.
    private var seen: [Member] = []
    private var kind: ClientCommand.Kind?
    private var hasManyChannels = false
    private(set) var ref: Range<Int>?
    private(set) var channels: [String] = []
    private(set) var event: String?
    private(set) var data: Range<Int>?
    private(set) var since: String?
    private(set) var count: Int?

    /// The type, once all members are there and belong to it.
    func checkedKind() throws(Problem) -> ClientCommand.Kind {
        guard let kind else {
            throw Problem(description: "'type' is missing: \(ClientCommand.Kind.names)")
        }
        let known = [.type, .ref] + kind.required + kind.optional
        for member in seen where !known.contains(member) {
            throw Problem(description: "'\(member.rawValue)' has no meaning for \(kind.rawValue)")
        }
        for member in kind.required where !seen.contains(member) {
            throw Problem(description: "'\(member.rawValue)' is missing for \(kind.rawValue)")
        }
        if kind == .publish && hasManyChannels {
            throw Problem(description: "'channel' must be a string for publish")
        }
        return kind
    }

    mutating func take(
        _ value: Range<Int>, for key: Range<Int>, of message: UnsafeBufferPointer<UInt8>
    ) throws(Problem) {
        let name = unsafe Self.unescaped(message.slice(key))
        guard let name, let member = Member(rawValue: name) else {
            let text = unsafe String(decoding: message.slice(key), as: UTF8.self)
            throw Problem(description: "unknown member '\(text.shown)' in a command")
        }
        if seen.contains(member) { throw Problem(description: "'\(name)' stands twice") }
        seen.append(member)
        let text = unsafe message.slice(value)
        switch member {
        case .type: kind = try unsafe Self.kind(text)
        case .channel: try unsafe takeChannels(text)
        case .event:
            event = try unsafe Self.string(text, of: member)
            if event!.utf8.contains(where: { $0 == 0x0A || $0 == 0x0D || $0 == 0 }) {
                throw Problem(description: "'event' must not hold a line break or NUL")
            }
        case .data: data = value
        case .since: since = try unsafe Self.since(text)
        case .n: count = try unsafe Self.count(text)
        case .ref:
            if unsafe text[0] == UInt8(ascii: "{") || text[0] == UInt8(ascii: "[") {
                throw Problem(description: "'ref' must not be an array or an object")
            }
            if text.count > ClientCommand.maxRef {
                throw Problem(
                    description: "'ref' is longer than \(ClientCommand.maxRef) bytes of JSON")
            }
            ref = value
        }
    }

    // MARK: Values: valid JSON that may not be UTF-8 yet

    private static func kind(
        _ value: UnsafeBufferPointer<UInt8>
    ) throws(Problem) -> ClientCommand.Kind {
        let text = try unsafe string(value, of: .type)
        guard let kind = ClientCommand.Kind(rawValue: text) else {
            throw Problem(
                description: "unknown type '\(text.shown)', expected \(ClientCommand.Kind.names)")
        }
        return kind
    }

    private mutating func takeChannels(_ value: UnsafeBufferPointer<UInt8>) throws(Problem) {
        guard unsafe value[0] == UInt8(ascii: "[") else {
            channels = [try unsafe Self.string(value, of: .channel, or: "an array of strings")]
            return
        }
        hasManyChannels = true
        var scanner = unsafe JSONScanner(value)
        do throws(JSONError) {
            try scanner.enter()
            while try scanner.nextElement(isFirst: channels.isEmpty) {
                guard scanner.next == UInt8(ascii: "\"") else { break }
                let element = try unsafe value.slice(scanner.valueRange())
                guard let channel = unsafe Self.unescaped(element.contents) else { break }
                channels.append(channel)
            }
        } catch {
            preconditionFailure("the array was read before")
        }
        if scanner.position < value.count {
            throw Problem(description: "'channel' must be a string or an array of strings")
        }
        if channels.isEmpty { throw Problem(description: "'channel' must not be an empty array") }
    }

    private static func since(_ value: UnsafeBufferPointer<UInt8>) throws(Problem) -> String {
        if unsafe value.allSatisfy(\.isDigit) {
            return unsafe String(decoding: value, as: UTF8.self)
        }
        return try unsafe string(value, of: .since, or: "a whole number")
    }

    private static func count(_ value: UnsafeBufferPointer<UInt8>) throws(Problem) -> Int {
        guard let count = unsafe value.decimal else {
            throw Problem(description: "'n' must be a whole number of at most 9 digits")
        }
        return count
    }

    /// The text of a string.
    private static func string(
        _ value: UnsafeBufferPointer<UInt8>, of member: Member, or other: String? = nil
    ) throws(Problem) -> String {
        guard unsafe value[0] == UInt8(ascii: "\"") else {
            let types = other.map { "a string or \($0)" } ?? "a string"
            throw Problem(description: "'\(member.rawValue)' must be \(types)")
        }
        guard let text = unsafe unescaped(value.contents) else {
            throw Problem(description: "'\(member.rawValue)' holds half a surrogate pair")
        }
        return text
    }

    /// The text that a string's contents stand for; nil when half a surrogate pair is in it.
    private static func unescaped(_ contents: UnsafeBufferPointer<UInt8>) -> String? {
        var text = ByteQueue(capacity: contents.count + 64)
        do throws(LoneSurrogate) {
            try unsafe text.append(unescaping: contents)
        } catch {
            return nil
        }
        return unsafe String(decoding: text.bytes, as: UTF8.self)
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Of a string between its quotes.
    fileprivate var contents: UnsafeBufferPointer<UInt8> { unsafe slice(1..<(count - 1)) }
}
