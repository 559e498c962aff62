import FuzzSupport
import StreamCodec

/// The validator, path look-up and string decoding beside the reference.
@main
enum FuzzJSON {
    static func main() {
        runFuzzer { start, size in
            var choices = Choices(start, size)
            choices.limitVectors()
            let depth = choices.flag() ? 1 + choices.number(upTo: 70) : JSON.defaultMaxDepth
            let pathSize = choices.number(upTo: 24)
            let bytes = (0..<min(pathSize, choices.rest.count / 2)).map { _ in choices.byte() }
            let path = String(decoding: bytes, as: UTF8.self)
            FuzzJSON.test(choices.rest, maxDepth: depth, path: path)
            return 0
        }
    }

    private static func test(_ text: [UInt8], maxDepth: Int, path: String) {
        var expected: Value?
        var expectedOffset: Int?
        do throws(Invalid) {
            expected = try Reader.read(text, maxDepth: maxDepth)
        } catch {
            expectedOffset = error.offset
        }
        withExactCopy(text) { bytes in
            expectEqual(
                offset { () throws(JSONError) in try JSON.validate(bytes, maxDepth: maxDepth) },
                expectedOffset, "validate, depth \(maxDepth): where it is no JSON", of: text)
            for path in [path, ".", ".a", "/a/0", ".[0]", ".items[1].price", ".\"\""] {
                guard let parsed = parse(path) else { continue }
                find(parsed, in: bytes, expected, expectedOffset, maxDepth: maxDepth)
            }
            if let expected { decodeStrings(expected, bytes) }
            quote(bytes)
        }
    }

    private static func offset(_ body: () throws(JSONError) -> Void) -> Int? {
        do throws(JSONError) {
            try body()
            return nil
        } catch {
            _ = error.description
            return error.offset
        }
    }

    private static func parse(_ path: String) -> JSONPath? {
        do throws(JSONPath.ParseError) {
            return try JSONPath(path)
        } catch {
            return nil
        }
    }

    // MARK: Paths

    private static func find(
        _ path: JSONPath, in bytes: UnsafeBufferPointer<UInt8>, _ value: Value?,
        _ expectedOffset: Int?, maxDepth: Int
    ) {
        let text = Array(bytes)
        var found: Range<Int>?
        expectEqual(
            offset { () throws(JSONError) in
                found = try path.find(in: bytes, maxDepth: maxDepth)
            },
            expectedOffset, "find \(path): where it is no JSON", of: text)
        guard let value, let steps = wantedSteps[path.description] else { return }
        expectEqual(
            found, lookUp(steps[...], in: value)?.range, "find \(path): where it is", of: text)
    }

    private enum Step {
        case key(String)
        case index(Int)
        case either(String, Int)
    }

    /// The fixed paths, read by a person.
    private static let wantedSteps: [String: [Step]] = [
        ".": [], ".a": [.key("a")], "/a/0": [.key("a"), .either("0", 0)], ".[0]": [.index(0)],
        ".items[1].price": [.key("items"), .index(1), .key("price")], ".\"\"": [.key("")],
    ]

    private static func lookUp(_ steps: ArraySlice<Step>, in value: Value) -> Value? {
        guard let step = steps.first else { return value }
        switch (step, value) {
        case (.key(let key), .object(let members, _)),
            (.either(let key, _), .object(let members, _)):
            let last = members.last {
                $0.key.loneSurrogate == nil && $0.key.repaired == Array(key.utf8)
            }
            return last.flatMap { lookUp(steps.dropFirst(), in: $0.value) }
        case (.index(let index), .array(let elements, _)),
            (.either(_, let index), .array(let elements, _)):
            return index < elements.count ? lookUp(steps.dropFirst(), in: elements[index]) : nil
        default: return nil
        }
    }

    // MARK: Strings

    private static func decodeStrings(_ value: Value, _ bytes: UnsafeBufferPointer<UInt8>) {
        switch value {
        case .object(let members, _):
            for member in members {
                decode(member.key, bytes)
                decodeStrings(member.value, bytes)
            }
        case .array(let elements, _): for element in elements { decodeStrings(element, bytes) }
        case .string(let text, _): decode(text, bytes)
        case .other: break
        }
    }

    private static func decode(_ text: Text, _ bytes: UnsafeBufferPointer<UInt8>) {
        withExactCopy(Array(bytes[text.contents])) { contents in
            let input = Array(contents)
            let expected = text.repaired
            var queue = ByteQueue(capacity: 1)
            queue.append(replacing: contents)
            expectEqual(Array(queue.bytes), expected, "replacing", of: input)

            let lone = text.loneSurrogate.map { $0 - text.contents.lowerBound }
            for isBroken in [false, true] {
                queue.removeAll()
                var found: Int?
                do throws(LoneSurrogate) {
                    try queue.append(unescaping: contents, lineBreak: isBroken ? "|" : nil)
                } catch {
                    found = error.offset
                }
                expectEqual(found, lone, "the lone surrogate", of: input)
                guard lone == nil else { continue }
                expectEqual(
                    Array(queue.bytes), isBroken ? broken(expected) : expected,
                    "unescaping, line breaks \(isBroken)", of: input)
            }
            if lone == nil {
                expectEqual(contents.unescapes(to: expected), true, "unescapes to", of: input)
                expectEqual(
                    contents.unescapes(to: expected + [0x21]), false, "unescapes to", of: input)
            }
        }
    }

    /// Every CR LF, CR and LF as '|'.
    private static func broken(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for (index, byte) in text.enumerated() {
            if byte == 0x0A && index > 0 && text[index - 1] == 0x0D { continue }
            result.append(byte == 0x0A || byte == 0x0D ? UInt8(ascii: "|") : byte)
        }
        return result
    }

    /// Any UTF-8 text comes back from a JSON string, and the string is valid.
    private static func quote(_ text: UnsafeBufferPointer<UInt8>) {
        guard UTF8Text.isValid(text) else { return }
        var queue = ByteQueue(capacity: 1)
        queue.append(quoting: text)
        withExactCopy(Array(queue.bytes)) { quoted in
            expectEqual(JSON.isValid(quoted), true, "quoting is valid", of: Array(text))
            queue.removeAll()
            queue.append(replacing: quoted.slice(1..<(quoted.count - 1)))
            expectEqual(Array(queue.bytes), Array(text), "quoting comes back", of: Array(text))
        }
    }
}
