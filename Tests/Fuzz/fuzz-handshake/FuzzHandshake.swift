import FuzzSupport
import StreamCodec

/// Heads from a peer, whole and cut, and what both sides of the opening handshake make of them;
/// URLs, and references between them.
@main
enum FuzzHandshake {
    static func main() {
        runFuzzer { start, size in
            var choices = Choices(start, size)
            let cuts = choices.cuts()
            let limit = choices.flag() ? choices.number(upTo: 600) : 65_536
            let isCompressed = choices.flag()
            choices.limitVectors()
            FuzzHandshake.testHead(choices.rest, cuts, limit: limit, isCompressed)
            FuzzHandshake.testURLs(choices.rest)
            return 0
        }
    }

    // MARK: Heads

    /// A head, or why there is none, in words.
    private enum Parsed: Equatable {
        case head(String, size: Int)
        case error(HTTPHeadError)
        case more
    }

    private static func parse(
        _ bytes: [UInt8], limit: Int
    ) -> (parsed: Parsed, head: HTTPHead?) {
        withExactCopy(bytes) { bytes in
            do throws(HTTPHeadError) {
                guard let (head, size) = try HTTPHead.parse(bytes, limit: limit) else {
                    return (.more, nil)
                }
                return (.head("\(head)", size: size), head)
            } catch {
                return (.error(error), nil)
            }
        }
    }

    private static func testHead(
        _ stream: [UInt8], _ cuts: Cuts, limit: Int, _ isCompressed: Bool
    ) {
        let (whole, head) = parse(stream, limit: limit)
        // Each prefix gives the same answer or none yet. Every byte of a long one is too slow.
        for cuts in stream.count < 400 ? [cuts, .everywhere] : [cuts] {
            var received: [UInt8] = []
            var found = parse([], limit: limit).parsed
            for read in cuts.reads(of: stream) where found == .more {
                received += read
                found = parse(received, limit: limit).parsed
            }
            expectEqual(found, whole, "cut and whole, at most \(limit) bytes", of: stream)
        }
        guard let head else { return }
        for (name, value) in head.fields {
            let isClean = !name.isEmpty && !(name + value).utf8.contains { $0 < 0x20 && $0 != 9 }
            expectEqual(isClean, true, "a field without control characters", of: stream)
            expectEqual(head.first(name) != nil, true, "a field is found", of: stream)
        }
        testClient(head, stream, isCompressed)
        testServer(head, stream, isCompressed)
    }

    private static func client(_ url: ClientURL, _ isCompressed: Bool) -> ClientHandshake {
        do throws(HandshakeError) {
            return try ClientHandshake(
                url: url, fields: [("Origin", "http://h")], subprotocols: ["chat", "superchat"],
                compress: isCompressed ? (15, false) : nil, key: Array("the sample nonce".utf8))
        } catch {
            fatalError("\(error)")
        }
    }

    /// Only an answer to our key is taken, and only what was offered.
    private static func testClient(_ head: HTTPHead, _ stream: [UInt8], _ isCompressed: Bool) {
        var url: ClientURL { parsed("ws://h")! }
        do throws(HandshakeError) {
            let agreement = try client(url, isCompressed).check(head)
            expectEqual(
                head.first("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                "the answer to our key", of: stream)
            expectEqual(
                [nil, "chat", "superchat"].contains(agreement.subprotocol), true,
                "an offered subprotocol", of: stream)
            expectEqual(
                isCompressed || agreement.extensions == nil, true, "an offered extension",
                of: stream)
        } catch {
            let isPrintable = error.description.utf8.allSatisfy { (0x20...0x7E).contains($0) }
            expectEqual(isPrintable, true, "a harmless message", of: stream)
        }
    }

    /// The response is one whole head and says what the answer says.
    private static func testServer(_ head: HTTPHead, _ stream: [UInt8], _ isCompressed: Bool) {
        let answer = ServerHandshake.answer(
            head, subprotocols: ["superchat", "chat"],
            compress: isCompressed ? (15, false) : nil)
        switch answer {
        case .accepted(let response, let agreement):
            let (parsed, head) = parse(Array(response.utf8), limit: 65_536)
            expectEqual(
                parsed, .head(head.map { "\($0)" } ?? "", size: response.utf8.count),
                "our response", of: stream)
            expectEqual(
                head?.first("Sec-WebSocket-Protocol"), agreement.subprotocol, "subprotocol",
                of: stream)
            expectEqual(
                head?.first("Sec-WebSocket-Extensions"), agreement.extensions, "extensions",
                of: stream)
        case .refused(let response, let reason):
            let head = parse(Array(response.utf8), limit: 65_536).head
            expectEqual(head?.hasToken("close", in: "Connection"), true, reason, of: stream)
        }
    }

    // MARK: URLs

    private static func parsed(_ text: String) -> ClientURL? {
        do throws(URLError) {
            return try ClientURL(text)
        } catch {
            return nil
        }
    }

    /// The input as a URL, and as a reference from one; its first line is the URL when it has two.
    private static func testURLs(_ input: [UInt8]) {
        let lines = input.split(separator: 0x0A, maxSplits: 1).map {
            String(decoding: $0, as: UTF8.self)
        }
        let bases = ["ws://u:p@h/b/c/d;p?q", lines.first ?? ""].compactMap(parsed)
        for base in bases {
            checkURL(base, input)
            for reference in lines {
                do throws(URLError) {
                    let url = try base.resolving(reference)
                    checkURL(url, input)
                    // A query alone leaves the base's dot segments, which the next turn removes.
                    let once = try base.resolving(url.description)
                    let twice = try base.resolving(once.description)
                    expectEqual(twice, once, "resolving what was resolved", of: input)
                } catch {
                    continue
                }
            }
        }
    }

    private static func checkURL(_ url: ClientURL, _ input: [UInt8]) {
        var plain = url
        (plain.user, plain.password) = (nil, nil)
        expectEqual(parsed(url.description), plain, "a URL as text and back", of: input)
        expectEqual(url.target.utf8.first, UInt8(ascii: "/"), "a path", of: input)
        let isClean = (url.target + url.host).utf8.allSatisfy { (0x21...0x7E).contains($0) }
        expectEqual(isClean, true, "printable", of: input)
        var longer = url
        longer.addQuery(name: "a&=#", value: String(decoding: input, as: UTF8.self))
        expectEqual(parsed(longer.description)?.target, longer.target, "a longer query", of: input)

        var queue = ByteQueue(capacity: 1)
        client(url, true).append(to: &queue)
        let (parsed, head) = parse(Array(queue.bytes), limit: .max)
        expectEqual(
            parsed, .head(head.map { "\($0)" } ?? "", size: queue.count), "our request", of: input)
        expectEqual(
            head?.start, .request(method: "GET", target: url.target, minor: 1), "the target",
            of: input)
        guard let head,
            case .accepted = ServerHandshake.answer(
                head, subprotocols: [], compress: nil)
        else { fatalError("our request is refused\n  input: \(shown(input))") }
    }
}
