/// Why an opening handshake failed. Its words repeat neither the values of the user's fields nor
/// the user's name and password.
package struct HandshakeError: Error, CustomStringConvertible, Equatable, Sendable {
    package var reason: String

    package init(_ reason: String) {
        self.reason = reason
    }

    package var description: String { reason }
}

/// A client's side of the opening handshake: RFC 6455, section 4.1.
package struct ClientHandshake: Sendable {
    /// What both sides will speak.
    package struct Agreement: Equatable, Sendable {
        package var subprotocol: String?
        /// Nil when messages are not compressed.
        package var deflate: DeflateParameters?
        /// The server's Sec-WebSocket-Extensions, or nil.
        package var extensions: String?

        package init(
            subprotocol: String? = nil, deflate: DeflateParameters? = nil,
            extensions: String? = nil
        ) {
            self.subprotocol = subprotocol
            self.deflate = deflate
            self.extensions = extensions
        }
    }

    private let url: ClientURL
    private let fields: [(name: String, value: String)]
    private let subprotocols: [String]
    private let compress: (windowBits: Int, noContextTakeover: Bool)?
    /// 16 bytes in base64.
    private let key: String
    private let userAgent: String

    /// A request with a new random key. `fields` are the user's, and replace Host and User-Agent
    /// when they name them. Throws what `checkField` throws, for a second Host, and for a
    /// subprotocol that is no token or there twice.
    package init(
        url: ClientURL, fields: [(name: String, value: String)], subprotocols: [String],
        compress: (windowBits: Int, noContextTakeover: Bool)?,
        userAgent: String = "streamutils/0.1.0"
    ) throws(HandshakeError) {
        // The standard library's generator is getrandom(2): nobody can foresee the key.
        try self.init(
            url: url, fields: fields, subprotocols: subprotocols, compress: compress,
            userAgent: userAgent, key: (0..<16).map { _ in UInt8.random(in: .min ... .max) })
    }

    /// The same with this key of 16 bytes.
    package init(
        url: ClientURL, fields: [(name: String, value: String)], subprotocols: [String],
        compress: (windowBits: Int, noContextTakeover: Bool)?,
        userAgent: String = "streamutils/0.1.0", key: [UInt8]
    ) throws(HandshakeError) {
        precondition(key.count == 16)
        for field in fields { try Self.checkField(name: field.name, value: field.value) }
        if fields.count(where: { $0.name.isEqualIgnoringCase("Host") }) > 1 {
            throw HandshakeError("header Host: given twice")
        }
        for (index, name) in subprotocols.enumerated() {
            if !name.isToken {
                throw HandshakeError("subprotocol \"\(name.shown)\" is not a token")
            }
            if subprotocols[..<index].contains(name) {
                throw HandshakeError("subprotocol \"\(name.shown)\" is given twice")
            }
        }
        self.url = url
        self.fields = fields
        self.subprotocols = subprotocols
        self.compress = compress
        self.userAgent = userAgent
        self.key = unsafe key.withUnsafeBufferPointer {
            unsafe String(decoding: Base64.encode($0), as: UTF8.self)
        }
    }

    /// What belongs to the handshake, and what would announce a body that never comes.
    private static let reserved = [
        "Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
        "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol",
        "Content-Length", "Transfer-Encoding",
    ]

    /// Throws for a name that is no token or belongs to the handshake, and for a value with a
    /// control character: CR and LF would begin a field of their own. The reason names the field
    /// and never repeats its value.
    package static func checkField(name: String, value: String) throws(HandshakeError) {
        guard name.isToken else {
            // What stands before a forgotten colon may be a secret.
            throw HandshakeError(
                "header: a name is letters, digits and !#$%&'*+-.^_`|~, as in 'Name: value'")
        }
        if reserved.contains(where: { $0.isEqualIgnoringCase(name) }) {
            throw HandshakeError("header \(name): belongs to the opening handshake")
        }
        if value.utf8.contains(where: \.isControl) {
            throw HandshakeError("header \(name): its value has a control character")
        }
    }

    /// Appends the request.
    package func append(to queue: inout ByteQueue) {
        queue.append(string: "GET \(url.target) HTTP/1.1\r\n")
        appendField("Host", url.authority, to: &queue)
        appendField("User-Agent", userAgent, to: &queue)
        queue.append("Upgrade: websocket\r\nConnection: Upgrade\r\n")
        queue.append(string: "Sec-WebSocket-Key: \(key)\r\nSec-WebSocket-Version: 13\r\n")
        if !subprotocols.isEmpty {
            let list = subprotocols.joined(separator: ", ")
            queue.append(string: "Sec-WebSocket-Protocol: \(list)\r\n")
        }
        if let compress {
            let offer = DeflateParameters.offer(
                windowBits: compress.windowBits, noContextTakeover: compress.noContextTakeover)
            queue.append(string: "Sec-WebSocket-Extensions: \(offer)\r\n")
        }
        for field in fields where !field.name.isEqualIgnoringCase("Host") {
            queue.append(string: "\(field.name): \(field.value.trimmedField)\r\n")
        }
        queue.append("\r\n")
    }

    /// A field of ours, unless the user has one of that name. The user's Host comes first too, as
    /// RFC 9110, section 7.2, advises.
    private func appendField(_ name: String, _ value: String, to queue: inout ByteQueue) {
        let given = fields.first { $0.name.isEqualIgnoringCase(name) }
        if let given, name == "Host" {
            queue.append(string: "Host: \(given.value.trimmedField)\r\n")
        } else if given == nil {
            queue.append(string: "\(name): \(value)\r\n")
        }
    }
}

// MARK: The answer

extension ClientHandshake {
    /// What a server's response agrees to: RFC 6455, section 4.1, the list at its end. Throws for
    /// another status than 101, a wrong Upgrade, Connection or Sec-WebSocket-Accept, and a
    /// subprotocol or extension that was not offered.
    package func check(_ head: HTTPHead) throws(HandshakeError) -> Agreement {
        guard case .response(let status, let reason, let minor) = head.start else {
            throw HandshakeError("the server sent a request instead of a response")
        }
        guard status == 101 else {
            let words = reason.isEmpty ? "" : " " + reason.shown
            throw HandshakeError("the server answered \(status)\(words) instead of 101")
        }
        // RFC 9110, sections 7.8 and 15.2: HTTP/1.0 has no Upgrade, and a 101 no body.
        guard minor >= 1, head.first("Transfer-Encoding") == nil else {
            throw HandshakeError("the 101 is of HTTP/1.0, or has a Transfer-Encoding")
        }
        guard head.hasToken("websocket", in: "Upgrade") else {
            throw HandshakeError("the response has no Upgrade: websocket")
        }
        guard head.hasToken("upgrade", in: "Connection") else {
            throw HandshakeError("the response has no Connection: Upgrade")
        }
        let accepts = head.values("Sec-WebSocket-Accept")
        guard accepts.count == 1 else {
            throw HandshakeError("the response has \(accepts.count) Sec-WebSocket-Accept fields")
        }
        guard accepts[0] == Self.accept(for: key) else {
            throw HandshakeError("Sec-WebSocket-Accept does not answer our key")
        }
        var agreement = Agreement()
        agreement.subprotocol = try subprotocol(head)
        if let value = head.joined("Sec-WebSocket-Extensions"), !HTTPHead.elements(value).isEmpty {
            guard let compress else {
                throw HandshakeError("the server took an extension that was not offered")
            }
            agreement.deflate = try DeflateParameters.accepted(
                value, windowBits: compress.windowBits,
                noContextTakeover: compress.noContextTakeover)
            agreement.extensions = value
        }
        return agreement
    }

    private func subprotocol(_ head: HTTPHead) throws(HandshakeError) -> String? {
        let values = head.values("Sec-WebSocket-Protocol")
        guard let value = values.first else { return nil }
        if values.count > 1 || value.utf8.contains(UInt8(ascii: ",")) {
            throw HandshakeError("the server took several subprotocols")
        }
        guard subprotocols.contains(value) else {
            throw HandshakeError(
                "the server took subprotocol \"\(value.shown)\", which was not offered")
        }
        return value
    }

    /// The Sec-WebSocket-Accept for a Sec-WebSocket-Key: RFC 6455, section 4.2.2, item 5.4.
    static func accept(for key: String) -> String {
        let hash = SHA1.hash([UInt8]((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return unsafe hash.withUnsafeBufferPointer {
            unsafe String(decoding: Base64.encode($0), as: UTF8.self)
        }
    }
}

extension String {
    fileprivate var trimmedField: String { String(decoding: utf8.trimmed, as: UTF8.self) }
}
