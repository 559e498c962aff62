/// What both ends agreed on for permessage-deflate. RFC 7692 section 7.1.
package struct DeflateParameters: Equatable, Sendable {
    package var serverNoContextTakeover = false
    package var clientNoContextTakeover = false
    /// Powers of two, 8 to 15: how far back a message may refer.
    package var serverMaxWindowBits = 15
    package var clientMaxWindowBits = 15

    package init() {}

    /// The value of Sec-WebSocket-Extensions for a client that offers compression. `windowBits`, 9
    /// to 15, is asked for in both directions; and for a server that cannot limit its window, which
    /// must decline that (RFC 7692, section 7.1.2.1), there is a second offer without.
    package static func offer(windowBits: Int, noContextTakeover: Bool) -> String {
        precondition(MessageDeflater.windowBits.contains(windowBits))
        var terms = Terms()
        terms.serverNoContextTakeover = noContextTakeover
        terms.clientNoContextTakeover = noContextTakeover
        // Without a value it still says that we heed the server's.
        terms.clientMaxWindowBits = .some(nil)
        if windowBits == 15 { return terms.description }
        let fallback = terms.description
        terms.serverMaxWindowBits = windowBits
        terms.clientMaxWindowBits = .some(windowBits)
        return "\(terms), \(fallback)"
    }

    /// What the server agreed to of `offer`; nil when it took no extension. `value` is its
    /// Sec-WebSocket-Extensions, all lines joined by commas. Throws for what was not offered, and
    /// for what RFC 7692 section 7.1 does not allow in an answer.
    package static func accepted(
        _ value: String, windowBits: Int, noContextTakeover: Bool
    ) throws(HandshakeError) -> DeflateParameters? {
        guard let extensions = WebSocketExtension.parse(value) else {
            throw HandshakeError("malformed Sec-WebSocket-Extensions: \(value.shown)")
        }
        if let other = extensions.first(where: { !$0.isDeflate }) {
            throw HandshakeError("extension that was not offered: \(other.name.shown)")
        }
        guard let answer = extensions.first else { return nil }
        guard extensions.count == 1 else {
            throw HandshakeError("\(Terms.name) agreed to more than once")
        }
        let terms: Terms
        do throws(HandshakeError) {
            terms = try Terms(answer)
            try terms.check(noContextTakeover: noContextTakeover)
        } catch {
            throw HandshakeError("\(Terms.name): \(error.reason)")
        }
        var parameters = DeflateParameters()
        parameters.serverNoContextTakeover = terms.serverNoContextTakeover
        // To forget is ours to choose.
        parameters.clientNoContextTakeover = terms.clientNoContextTakeover || noContextTakeover
        parameters.serverMaxWindowBits = terms.serverMaxWindowBits ?? 15
        parameters.clientMaxWindowBits = min(windowBits, (terms.clientMaxWindowBits ?? 15) ?? 15)
        return parameters
    }

    /// The first of a client's offers that a server can take, and its answer; nil when there is
    /// none and nothing is compressed. `windowBits`, 9 to 15, is the most that either side may use,
    /// as far as the client lets us ask.
    package static func negotiate(
        _ value: String, windowBits: Int, noContextTakeover: Bool, clientForgets: Bool = false
    ) -> (parameters: DeflateParameters, answer: String)? {
        precondition(MessageDeflater.windowBits.contains(windowBits))
        for offer in WebSocketExtension.parse(value) ?? [] where offer.isDeflate {
            guard let offered = Terms.acceptable(offer) else { continue }
            var terms = Terms()
            terms.serverNoContextTakeover = offered.serverNoContextTakeover || noContextTakeover
            // A server may ask for that unasked: RFC 7692, section 7.1.1.2.
            terms.clientNoContextTakeover =
                offered.clientNoContextTakeover || noContextTakeover || clientForgets
            let serverBits = min(windowBits, offered.serverMaxWindowBits ?? 15)
            if offered.serverMaxWindowBits != nil || serverBits < 15 {
                terms.serverMaxWindowBits = serverBits
            }
            // A client that does not name it may not understand it.
            let clientBits = offered.clientMaxWindowBits.map { min(windowBits, $0 ?? 15) } ?? 15
            if clientBits < 15 { terms.clientMaxWindowBits = .some(clientBits) }
            var parameters = DeflateParameters()
            parameters.serverNoContextTakeover = terms.serverNoContextTakeover
            parameters.clientNoContextTakeover = terms.clientNoContextTakeover
            parameters.serverMaxWindowBits = serverBits
            parameters.clientMaxWindowBits = clientBits
            return (parameters, terms.description)
        }
        return nil
    }
}

/// The parameters of one offer or answer, as they are written.
private struct Terms: CustomStringConvertible {
    static let name = "permessage-deflate"

    var serverNoContextTakeover = false
    var clientNoContextTakeover = false
    var serverMaxWindowBits: Int?
    /// `.some(nil)` when it is there without a value.
    var clientMaxWindowBits: Int??

    init() {}

    /// Throws for a parameter that is unknown, doubled, or has a value it may not have.
    init(_ element: WebSocketExtension) throws(HandshakeError) {
        var seen: Set<String> = []
        for (parameter, value) in element.parameters {
            guard seen.insert(parameter).inserted else {
                throw HandshakeError("\(parameter) is given twice")
            }
            switch parameter {
            case "server_no_context_takeover", "client_no_context_takeover":
                guard value == nil else { throw HandshakeError("\(parameter) has a value") }
                if parameter.hasPrefix("server") {
                    serverNoContextTakeover = true
                } else {
                    clientNoContextTakeover = true
                }
            case "server_max_window_bits":
                serverMaxWindowBits = try Self.bits(parameter, value ?? "")
            case "client_max_window_bits":
                var bits: Int?
                if let value { bits = try Self.bits(parameter, value) }
                clientMaxWindowBits = .some(bits)
            default:
                throw HandshakeError("unknown parameter \(parameter)")
            }
        }
    }

    /// Those of an offer, or nil when it must be declined.
    static func acceptable(_ offer: WebSocketExtension) -> Terms? {
        do throws(HandshakeError) {
            let terms = try Terms(offer)
            let bits = terms.serverMaxWindowBits ?? 15
            return MessageDeflater.windowBits.contains(bits) ? terms : nil
        } catch {
            return nil
        }
    }

    /// A decimal number without leading zeros, 8 to 15.
    private static func bits(_ name: String, _ value: String) throws(HandshakeError) -> Int {
        guard let bits = (8...15).first(where: { String($0) == value }) else {
            throw HandshakeError("\(name) is not a number from 8 to 15")
        }
        return bits
    }

    /// Checks an answer to our offer. RFC 7692 sections 7.1.1 and 7.1.2.
    func check(noContextTakeover: Bool) throws(HandshakeError) {
        if noContextTakeover && !serverNoContextTakeover {
            throw HandshakeError("the server did not agree to server_no_context_takeover")
        }
        if case .some(nil) = clientMaxWindowBits {
            throw HandshakeError("client_max_window_bits has no value")
        }
    }

    var description: String {
        var text = Self.name
        if serverNoContextTakeover { text += "; server_no_context_takeover" }
        if clientNoContextTakeover { text += "; client_no_context_takeover" }
        if let bits = serverMaxWindowBits { text += "; server_max_window_bits=\(bits)" }
        if let bits = clientMaxWindowBits {
            text += "; client_max_window_bits"
            if let bits { text += "=\(bits)" }
        }
        return text
    }
}

extension WebSocketExtension {
    fileprivate var isDeflate: Bool { name.lowercased() == Terms.name }
}
