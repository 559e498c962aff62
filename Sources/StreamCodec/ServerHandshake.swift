/// A server's side of the opening handshake: RFC 6455, section 4.2.
package enum ServerHandshake {
    /// `response` is what to send. After a refusal the connection is closed; `reason` is for the
    /// log, and repeats nothing that the client sent.
    package enum Answer: Sendable {
        case accepted(response: String, ClientHandshake.Agreement)
        case refused(response: String, reason: String)
    }

    /// The answer to a request: 101, 400, 405 for another method than GET, 426 for a request that
    /// does not ask for WebSocket or asks for another version of it (section 4.2.2, item 4).
    /// `subprotocols` are ours, the best first; none is chosen when the client offers none of
    /// them. With `clientForgets` each message of the client is compressed by itself, so that
    /// nothing need be kept between them. Target and Origin are not checked.
    package static func answer(
        _ head: HTTPHead, subprotocols: [String],
        compress: (windowBits: Int, noContextTakeover: Bool)?, clientForgets: Bool = false
    ) -> Answer {
        if let refusal = checkRequest(head) ?? checkUpgrade(head) { return refusal.answer }
        let keys = head.values("Sec-WebSocket-Key")
        guard keys.count == 1, isKey(keys[0]) else {
            return Refusal.badRequest(
                "the request needs one Sec-WebSocket-Key of 16 bytes in base64"
            ).answer
        }
        return accept(head, key: keys[0], subprotocols, compress, clientForgets)
    }

    /// The answer to bytes that are no head of a request.
    package static func answer(_ error: HTTPHeadError) -> Answer {
        switch error {
        case .tooLong, .tooManyFields:
            Refusal(status: "431 Request Header Fields Too Large", reason: error.description).answer
        case .badVersion:
            Refusal(status: "505 HTTP Version Not Supported", reason: error.description).answer
        default: Refusal.badRequest(error.description).answer
        }
    }

    private static func accept(
        _ head: HTTPHead, key: String, _ subprotocols: [String],
        _ compress: (windowBits: Int, noContextTakeover: Bool)?, _ clientForgets: Bool
    ) -> Answer {
        var agreement = ClientHandshake.Agreement()
        var response = """
            HTTP/1.1 101 Switching Protocols\r
            Upgrade: websocket\r
            Connection: Upgrade\r
            Sec-WebSocket-Accept: \(ClientHandshake.accept(for: key))\r

            """
        let offered = HTTPHead.elements(head.joined("Sec-WebSocket-Protocol") ?? "")
        if let chosen = subprotocols.first(where: offered.contains) {
            agreement.subprotocol = chosen
            response += "Sec-WebSocket-Protocol: \(chosen)\r\n"
        }
        if let compress, let offers = head.joined("Sec-WebSocket-Extensions"),
            let (parameters, answer) = DeflateParameters.negotiate(
                offers, windowBits: compress.windowBits,
                noContextTakeover: compress.noContextTakeover, clientForgets: clientForgets)
        {
            agreement.deflate = parameters
            agreement.extensions = answer
            response += "Sec-WebSocket-Extensions: \(answer)\r\n"
        }
        return .accepted(response: response + "\r\n", agreement)
    }
}

// MARK: Refusing

extension ServerHandshake {
    /// A response that ends the connection.
    private struct Refusal {
        let status: String
        let reason: String
        var connection = "close"
        var fields = ""

        static func badRequest(_ reason: String) -> Refusal {
            Refusal(status: "400 Bad Request", reason: reason)
        }

        /// Every Upgrade needs its connection option (RFC 9110, section 7.8), and the version that
        /// would do is named (RFC 6455, section 4.4).
        static func upgradeRequired(_ reason: String) -> Refusal {
            Refusal(
                status: "426 Upgrade Required", reason: reason, connection: "close, Upgrade",
                fields: "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
        }

        var answer: Answer {
            let body = reason + "\n"
            return .refused(
                response: """
                    HTTP/1.1 \(status)\r
                    \(fields)Connection: \(connection)\r
                    Content-Type: text/plain; charset=utf-8\r
                    Content-Length: \(body.utf8.count)\r
                    \r
                    \(body)
                    """,
                reason: reason)
        }
    }

    /// What is wrong with it as an HTTP request: RFC 6455, section 4.2.1, items 1 and 2.
    private static func checkRequest(_ head: HTTPHead) -> Refusal? {
        guard case .request(let method, _, let minor) = head.start else {
            return Refusal.badRequest("a response instead of a request")
        }
        if method != "GET" {
            return Refusal(
                status: "405 Method Not Allowed", reason: "the method is not GET",
                fields: "Allow: GET\r\n")
        }
        if minor < 1 {
            return Refusal.badRequest("the request is older than HTTP/1.1")
        }
        let hosts = head.values("Host")
        guard hosts.count == 1, !hosts[0].isEmpty, !hosts[0].utf8.contains(where: \.isSpace) else {
            return Refusal.badRequest("the request needs one Host")
        }
        // What follows the blank line would be taken for frames.
        let lengths = head.values("Content-Length")
        if head.first("Transfer-Encoding") != nil || lengths.contains(where: { $0 != "0" }) {
            return Refusal.badRequest("the request has a body")
        }
        return nil
    }

    /// What is wrong with it as an opening handshake: section 4.2.1, items 3 to 6.
    private static func checkUpgrade(_ head: HTTPHead) -> Refusal? {
        if !head.hasToken("websocket", in: "Upgrade") {
            return Refusal.upgradeRequired("only WebSocket is spoken here")
        }
        if !head.hasToken("upgrade", in: "Connection") {
            return Refusal.badRequest("the request has no Connection: Upgrade")
        }
        let versions = head.values("Sec-WebSocket-Version")
        if versions.count > 1 {
            return Refusal.badRequest("the request has several Sec-WebSocket-Version")
        }
        if versions != ["13"] {
            return Refusal.upgradeRequired("only version 13 of WebSocket is spoken here")
        }
        return nil
    }

    private static func isKey(_ text: String) -> Bool {
        let bytes = unsafe [UInt8](text.utf8).withUnsafeBufferPointer { unsafe Base64.decode($0) }
        return bytes?.count == 16
    }
}
