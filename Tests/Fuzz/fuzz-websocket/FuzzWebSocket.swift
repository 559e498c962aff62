import FuzzSupport
import StreamCodec

/// Arbitrary frames, and streams of our own with a defect, received whole and in pieces.
@main
enum FuzzWebSocket {
    static func main() {
        runFuzzer { start, size in
            var choices = Choices(start, size)
            let cuts = choices.cuts()
            let role = choices.flag() ? WebSocketRole.server : .client
            let maxMessage = choices.flag() ? 1 << 20 : choices.number(upTo: 300)
            let parameters = choices.flag() ? FuzzWebSocket.parameters(&choices) : nil
            choices.limitVectors()
            if choices.flag() {
                FuzzWebSocket.testOwn(&choices, cuts, role, maxMessage, parameters)
            } else {
                // A window that is smaller than what a defect refers to shows where reads were cut.
                let whole = parameters == nil ? nil : DeflateParameters()
                FuzzWebSocket.compare(choices.rest, cuts, role, maxMessage, whole)
            }
            return 0
        }
    }

    private static func parameters(_ choices: inout Choices) -> DeflateParameters {
        var parameters = DeflateParameters()
        parameters.serverNoContextTakeover = choices.flag()
        parameters.clientNoContextTakeover = choices.flag()
        parameters.serverMaxWindowBits = 9 + choices.number(upTo: 6)
        parameters.clientMaxWindowBits = 8 + choices.number(upTo: 7)
        return parameters
    }

    /// What our own sender makes is what comes out; a defect in it is the same in any pieces.
    private static func testOwn(
        _ choices: inout Choices, _ cuts: Cuts, _ role: WebSocketRole, _ maxMessage: Int,
        _ parameters: DeflateParameters?
    ) {
        let level = 1 + choices.number(upTo: 8)
        let fragment = choices.flag() ? 1 + choices.number(upTo: 100) : nil
        let messages = choices.cuts()
        let (place, mask) = (choices.number(upTo: 9999), choices.byte())
        var expected: [Received] = []
        for (index, payload) in messages.reads(of: choices.rest).enumerated() {
            switch index % 3 {
            case 0: expected.append(.message("binary", Array(payload)))
            case 1: expected.append(.message("ping", Array(payload.prefix(125))))
            default: expected.append(.message("binary", Array(payload + payload)))
            }
        }
        expected.append(.close(4000, Array("fin".utf8)))
        // Whoever sends is not who receives.
        let sender: WebSocketRole = role == .client ? .server : .client
        var stream = send(expected, sender, parameters, level: level, fragment: fragment)
        for cuts in [cuts, .none, .everywhere] {
            expectEqual(
                receive(stream, cuts, role, 1 << 20, parameters), expected, "sent and received",
                of: choices.rest)
        }
        stream[place % stream.count] ^= mask
        if (parameters?.serverMaxWindowBits ?? 15, parameters?.clientMaxWindowBits ?? 15)
            == (15, 15)
        {
            compare(stream, cuts, role, maxMessage, parameters)
        } else {
            // It must not crash.
            _ = receive(stream, cuts, role, maxMessage, parameters)
        }
    }

    private static func compare(
        _ stream: [UInt8], _ cuts: Cuts, _ role: WebSocketRole, _ maxMessage: Int,
        _ parameters: DeflateParameters?
    ) {
        let whole = receive(stream, .none, role, maxMessage, parameters)
        for cuts in [cuts, .everywhere] {
            expectEqual(
                whole, receive(stream, cuts, role, maxMessage, parameters), "whole and cut",
                of: stream)
        }
        checkText(whole, maxMessage)
    }

    /// Every text is UTF-8, and no message is longer than allowed.
    private static func checkText(_ events: [Received], _ maxMessage: Int) {
        for case .message(let kind, let payload) in events {
            if kind == "text" && String(validating: payload, as: UTF8.self) == nil {
                fatalError("text that is not UTF-8: \(shown(payload))")
            }
            if payload.count > max(maxMessage, 125) { fatalError("too long: \(payload.count)") }
        }
    }
}
