import FuzzSupport
import StreamCodec

/// Requests as stream-serve gets them: a head and its target, a body in chunks; the messages of its
/// WebSocket clients, and the patterns of channels in both.
@main
enum FuzzRequest {
    static func main() {
        runFuzzer { start, size in
            var choices = Choices(start, size)
            let cuts = choices.cuts()
            // Always as many bytes, so that seeds keep their ends.
            let (body, depth) = (choices.number(upTo: 600), choices.number(upTo: 5))
            let maxBody = choices.flag() ? body : 1 << 20
            let maxDepth = choices.flag() ? depth : 1024
            choices.limitVectors()
            let chunks = FuzzRequest.testHead(choices.rest)
            FuzzRequest.testChunks(chunks, cuts, maxBody: maxBody)
            FuzzRequest.testCommand(choices.rest, maxDepth: maxDepth)
            testPatterns(choices.rest)
            return 0
        }
    }

    // MARK: Heads and targets

    /// What stands behind the head; the whole input when it has none.
    private static func testHead(_ input: [UInt8]) -> [UInt8] {
        // Also the input alone is a target, for a head lets little through.
        testTarget(String(decoding: input.prefix { $0 != 0x0A }, as: UTF8.self), input)
        return withExactCopy(input) { bytes in
            do throws(HTTPHeadError) {
                guard let (head, size) = try HTTPHead.parse(bytes, limit: 16_384) else {
                    return input
                }
                if case .request(_, let target, _) = head.start { testTarget(target, input) }
                return Array(input[size...])
            } catch {
                return input
            }
        }
    }

    private static func testTarget(_ text: String, _ input: [UInt8]) {
        guard let target = parsed(text) else { return }
        let texts = [target.path] + target.parameters.flatMap { [$0.name, $0.value] }
        let isClean = texts.allSatisfy { $0.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }
        expectEqual(isClean, true, "text without control characters", of: input)
        expectEqual(target.path.utf8.first, UInt8(ascii: "/"), "a path", of: input)
        expectEqual(
            target.parameters.count <= RequestTarget.maxParameters, true, "few parameters",
            of: input)
        for (name, value) in target.parameters {
            let isFound = target.has(name) && target.values(name).contains(value)
            expectEqual(isFound, true, "a parameter is found", of: input)
        }
        // Encoded as much as possible it is the same.
        let path = target.path.utf8.split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let query = target.parameters.map { "\(encoded($0.name.utf8))=\(encoded($0.value.utf8))" }
        let again = path.map { encoded($0) }.joined(separator: "/") + "?"
        let other = parsed(again + query.joined(separator: "&"))
        expectEqual(other.map { "\($0)" }, "\(target)", "encoded again", of: input)
    }

    private static func parsed(_ target: String) -> RequestTarget? {
        do throws(URLError) {
            return try RequestTarget(target)
        } catch {
            return nil
        }
    }

    private static func encoded(_ text: some Sequence<UInt8>) -> String {
        text.map { ($0 < 16 ? "%0" : "%") + String($0, radix: 16) }.joined()
    }

    // MARK: Bodies

    /// What came of a body, the error in words.
    private struct Outcome: Equatable {
        var body: [UInt8] = []
        var isAtEnd = false
        var error: String?
        var rest: [UInt8] = []
    }

    private static func read(_ stream: [UInt8], _ cuts: Cuts, maxBody: Int) -> Outcome {
        var reader = ChunkedReader(maxBody: maxBody)
        var queue = ByteQueue(capacity: 1)
        var body = ByteQueue(capacity: 1)
        var outcome = Outcome()
        for read in cuts.reads(of: stream) {
            queue.append(Array(read))
            if outcome.isAtEnd || outcome.error != nil { continue }
            do throws(ChunkedError) {
                outcome.isAtEnd = try reader.read(&queue, into: &body)
            } catch {
                outcome.error = error.description
            }
        }
        outcome.body = Array(body.bytes)
        outcome.rest = Array(queue.bytes)
        return outcome
    }

    private static func testChunks(_ stream: [UInt8], _ cuts: Cuts, maxBody: Int) {
        let whole = read(stream, .none, maxBody: maxBody)
        for cuts in [cuts, .everywhere] {
            expectEqual(read(stream, cuts, maxBody: maxBody), whole, "cut and whole", of: stream)
        }
        expectEqual(whole.body.count <= maxBody, true, "a body within its limit", of: stream)
        if let (body, rest) = wholeBody(stream, maxBody: maxBody) {
            let expected = Outcome(body: body, isAtEnd: true, rest: rest)
            expectEqual(whole, expected, "a body by its lines", of: stream)
        } else {
            expectEqual(whole.isAtEnd, false, "no body by its lines", of: stream)
        }
        // The input as one chunk, whatever is in it.
        let size = String(stream.count, radix: 16)
        let chunk = Array("\(size)\r\n".utf8) + stream + Array("\r\n0\r\n\r\n".utf8)
        let limit = max(stream.count, 1)
        let expected = Outcome(body: stream, isAtEnd: true)
        let chunks = stream.isEmpty ? Array("0\r\n\r\n".utf8) : chunk
        expectEqual(read(chunks, cuts, maxBody: limit), expected, "one chunk", of: stream)
    }

    /// The body that `stream` begins with and what is behind it, read line by line; nil if there is
    /// none, or an unfinished one.
    private static func wholeBody(
        _ stream: [UInt8], maxBody: Int
    ) -> (body: [UInt8], rest: [UInt8])? {
        var body: [UInt8] = []
        var rest = stream[...]
        var extensions = 0
        while true {
            guard let line = takeLine(&rest) else { return nil }
            let digits = line.prefix { $0 < 0x80 && Character(Unicode.Scalar($0)).isHexDigit }
            guard digits.count <= 16, let text = String(validating: digits, as: UTF8.self),
                let size = UInt64(text, radix: 16), size <= maxBody - body.count
            else { return nil }
            let behind = line[digits.endIndex...]
            guard behind.isEmpty || behind.trimmed.first == UInt8(ascii: ";") else { return nil }
            extensions += behind.count
            guard extensions <= ChunkedReader.maxExtensions + body.count else { return nil }
            if size == 0 { break }
            guard rest.count >= Int(size) + 2 else { return nil }
            body += rest.prefix(Int(size))
            rest = rest.dropFirst(Int(size))
            guard rest.starts(with: [0x0D, 0x0A]) else { return nil }
            rest = rest.dropFirst(2)
        }
        let count = rest.count
        while let line = takeLine(&rest) {
            guard count - rest.count <= ChunkedReader.maxTrailers else { return nil }
            if line.isEmpty { return (body, Array(rest)) }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
                line[..<colon].allSatisfy(\.isTokenCharacter)
            else { return nil }
        }
        return nil
    }

    /// A line that ends with CR LF and has no other control character but tabs.
    private static func takeLine(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let line = rest.prefix { !$0.isControl }
        guard rest[line.endIndex...].starts(with: [0x0D, 0x0A]) else { return nil }
        rest = rest[(line.endIndex + 2)...]
        return line
    }

    // MARK: Messages

    private static func command(
        _ message: [UInt8], maxDepth: Int
    ) -> Result<ClientCommand, ClientCommand.Problem> {
        withExactCopy(message) { bytes in
            do throws(ClientCommand.Problem) {
                return .success(try ClientCommand(bytes, maxDepth: maxDepth))
            } catch {
                return .failure(error)
            }
        }
    }

    private static func isJSON(_ bytes: [UInt8], maxDepth: Int = 1024) -> Bool {
        withExactCopy(bytes) { JSON.isValid($0, maxDepth: maxDepth) }
    }

    private static func testCommand(_ message: [UInt8], maxDepth: Int) {
        switch command(message, maxDepth: maxDepth) {
        case .success(let command):
            expectEqual(isJSON(message, maxDepth: maxDepth), true, "a command is JSON", of: message)
            checkRef(command.ref, message)
            if let data = command.data {
                expectEqual(isJSON(Array(message[data])), true, "data", of: message)
            }
            let event = command.event ?? ""
            let isOneLine = !event.utf8.contains { $0 == 0x0A || $0 == 0x0D || $0 == 0 }
            expectEqual(isOneLine, true, "an event of one line", of: message)
            checkAgain(command, message)
        case .failure(let problem):
            checkRef(problem.ref, message)
            expectEqual(problem.description.isEmpty, false, "words", of: message)
        }
    }

    private static func checkRef(_ ref: Range<Int>?, _ message: [UInt8]) {
        guard let ref else { return }
        let text = Array(message[ref])
        let isScalar = text.first != UInt8(ascii: "{") && text.first != UInt8(ascii: "[")
        expectEqual(isScalar && isJSON(text) && text.count <= 256, true, "a ref", of: message)
    }

    /// Written down again it is the same.
    private static func checkAgain(_ first: ClientCommand, _ message: [UInt8]) {
        var queue = ByteQueue()
        queue.append(string: "{\"type\":\"\(first.kind)\"")
        if !first.channels.isEmpty {
            queue.append(",\"channel\":")
            if first.kind != .publish { queue.append("[") }
            for (index, channel) in first.channels.enumerated() {
                if index > 0 { queue.append(",") }
                queue.append(quoting: channel)
            }
            if first.kind != .publish { queue.append("]") }
        }
        for (name, text) in [("event", first.event), ("since", first.since)] {
            guard let text else { continue }
            queue.append(string: ",\"\(name)\":")
            queue.append(quoting: text)
        }
        if let count = first.count { queue.append(string: ",\"n\":\(count)") }
        for (name, range) in [("data", first.data), ("ref", first.ref)] {
            guard let range else { continue }
            queue.append(string: ",\"\(name)\":")
            queue.append(Array(message[range]))
        }
        queue.append("}")
        let written = Array(queue.bytes)
        guard case .success(let second) = command(written, maxDepth: 1025) else {
            fatalError("no command any more: \(shown(written))\n  input: \(shown(message))")
        }
        var same = second
        (same.ref, same.data) = (first.ref, first.data)
        expectEqual(same, first, "written down again", of: message)
        expectEqual(
            second.data.map { Array(written[$0]) }, first.data.map { Array(message[$0]) }, "data",
            of: message)
        expectEqual(
            second.ref.map { Array(written[$0]) }, first.ref.map { Array(message[$0]) }, "ref",
            of: message)
    }
}
