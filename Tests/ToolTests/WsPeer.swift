import Foundation
import StreamCodec

/// A frame on the wire. RFC 6455, section 5.2.
struct WsFrame: Equatable, CustomStringConvertible {
    enum Kind: UInt8 {
        case continuation, text, binary
        case close = 8
        case ping, pong
    }

    var kind: Kind
    var payload: [UInt8]
    var isFinal = true
    var isCompressed = false
    var isMasked = false

    init(_ kind: Kind, _ payload: [UInt8] = [], isFinal: Bool = true, isCompressed: Bool = false) {
        self.kind = kind
        self.payload = payload
        self.isFinal = isFinal
        self.isCompressed = isCompressed
    }

    init(_ kind: Kind, _ text: String) { self.init(kind, Array(text.utf8)) }

    /// A Close; without a code when that is nil.
    static func close(_ code: Int?, _ reason: String = "") -> WsFrame {
        WsFrame(.close, (code.map { [UInt8($0 >> 8), UInt8($0 & 255)] } ?? []) + reason.utf8)
    }

    var text: String { String(decoding: payload, as: UTF8.self) }
    var description: String { "\(kind)\(isFinal ? "" : "…")(\(payload.count): \(text.prefix(80)))" }

    /// The code of a Close.
    var code: Int? { payload.count < 2 ? nil : Int(payload[0]) << 8 | Int(payload[1]) }
    var reason: String { String(decoding: payload.dropFirst(2), as: UTF8.self) }

    /// As a server sends it, or masked as a client does.
    func bytes(masked: Bool) -> [UInt8] {
        var bytes = [kind.rawValue | (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0)]
        let mask: UInt8 = masked ? 0x80 : 0
        switch payload.count {
        case ...125: bytes.append(mask | UInt8(payload.count))
        case ...65535: bytes += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default:
            bytes.append(mask | 127)
            bytes += (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        if !masked { return bytes + payload }
        let key: [UInt8] = [0xA1, 0x5E, 0x03, 0xF7]
        return bytes + key + payload.enumerated().map { $1 ^ key[$0 & 3] }
    }
}

/// The peer did not do in time what the test waited for.
struct WsTimeout: Error {
    var what: String
}

/// A server that does what the test says: connections wait until the test takes them.
final class WsPeer {
    let port: Int
    private let descriptor: Int32

    /// At a port that is given, or at a free one. With `receiveBuffer` its system takes so few
    /// bytes ahead.
    init(port: Int = 0, receiveBuffer: Int32? = nil) throws {
        (descriptor, self.port) = try socketAt(port)
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
        }
        guard listen(descriptor, 64) == 0 else { throw SpawnError(code: errno) }
    }

    deinit { close(descriptor) }

    /// The listening socket, to pass it on.
    var passed: Int32 { descriptor }

    var url: String { "ws://127.0.0.1:\(port)/" }

    /// The next connection, before anything is read of it.
    func acceptRaw(within seconds: Double = patience) throws -> WsConnection {
        let limit = now() + seconds
        while true {
            let peer = SocketCalls.accept4(
                descriptor, nil, nil, Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue))
            if peer >= 0 { return WsConnection(peer, isServer: true) }
            try awaitEvent(POLLIN, descriptor, until: limit, "a connection")
        }
    }

    /// The next connection, opened. `fields` are added to the answer.
    func accept(within seconds: Double = patience, _ fields: String = "") throws -> WsConnection {
        let connection = try acceptRaw(within: seconds)
        try connection.readHead()
        connection.write(connection.response(fields))
        return connection
    }

    /// True when a connection is there to be taken within this time.
    func isCalled(within seconds: Double = patience) -> Bool {
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&ready, 1, Int32(seconds * 1000)) == 1
    }
}

/// One connection, from either side. Everything has a time limit.
final class WsConnection {
    let isServer: Bool
    /// The head of the request, or of the answer.
    private(set) var head = ""
    /// Pings are answered on the way to a message.
    var answersPings = true
    /// Pings that were answered.
    private(set) var pings = 0
    private(set) var wasReset = false
    private var descriptor: Int32
    private var buffer: [UInt8] = []
    private var offset = 0

    init(_ descriptor: Int32, isServer: Bool) {
        self.descriptor = descriptor
        self.isServer = isServer
    }

    /// Connects to a server, and says nothing yet.
    init(to port: Int, receiveBuffer: Int32? = nil) throws {
        descriptor = makeSocket()
        isServer = false
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
        }
        var address = loopback(port)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result != 0 {
            guard errno == EINPROGRESS else { throw SpawnError(code: errno) }
            try awaitEvent(POLLOUT, descriptor, until: now() + patience, "being connected")
        }
    }

    deinit { hangUp() }

    /// Ends it; with a reset when something is unread, or `abruptly`.
    func hangUp(abruptly: Bool = false) {
        guard descriptor >= 0 else { return }
        if abruptly {
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        }
        close(descriptor)
        descriptor = -1
    }

    /// Sends nothing any more, and goes on reading.
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    // MARK: The opening handshake

    @discardableResult
    func readHead(within seconds: Double = patience) throws -> String {
        let limit = now() + seconds
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let range = buffer[offset...].firstRange(of: end) {
                head = String(decoding: buffer[offset..<range.upperBound], as: UTF8.self)
                offset = range.upperBound
                return head
            }
            if try !fill(until: limit) {
                throw WsTimeout(what: "a head, not \(String(decoding: buffer, as: UTF8.self))")
            }
        }
    }

    /// What a field of the head says.
    func field(_ name: String) -> String? {
        head.components(separatedBy: "\r\n").first {
            $0.lowercased().hasPrefix(name.lowercased() + ":")
        }.map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
    }

    /// The answer that accepts the request. RFC 6455, section 4.2.2.
    func response(_ fields: String = "") -> String {
        let key = (field("Sec-WebSocket-Key") ?? "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        let accept = Data(SHA1.hash(Array(key.utf8))).base64EncodedString()
        return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Accept: \(accept)\r\n\(fields)\r\n"
    }

    static let request =
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

    /// Opens a connection to a server.
    static func open(_ port: Int, _ fields: String = "", receiveBuffer: Int32? = nil) throws
        -> WsConnection
    {
        let connection = try WsConnection(to: port, receiveBuffer: receiveBuffer)
        connection.write(request + fields + "\r\n")
        try connection.readHead()
        return connection
    }

    // MARK: Sending

    /// True when all of it was taken in time.
    @discardableResult
    func write(_ bytes: some Sequence<UInt8>, within seconds: Double = patience) -> Bool {
        let bytes = Array(bytes)
        return push(bytes, within: seconds) == bytes.count
    }

    @discardableResult
    func write(_ text: String) -> Bool { write(text.utf8) }

    @discardableResult
    func send(_ frames: WsFrame...) -> Bool {
        write(frames.flatMap { $0.bytes(masked: !isServer) })
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(WsFrame(.text, text)) }

    /// How many bytes were taken before none was for so long.
    func push(_ bytes: [UInt8], within seconds: Double) -> Int {
        var sent = 0
        while sent < bytes.count {
            let size = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if size > 0 {
                sent += size
                continue
            }
            guard errno == EAGAIN || errno == EINTR else { break }
            var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            if poll(&ready, 1, Int32(seconds * 1000)) == 0 { break }
        }
        return sent
    }

    // MARK: Receiving

    /// The next frame, unmasked; nil at the end of the connection.
    func frame(within seconds: Double = patience) throws -> WsFrame? {
        let limit = now() + seconds
        while true {
            if let frame = try parse() { return frame }
            if try !fill(until: limit) { return nil }
        }
    }

    /// The next frame that is no ping; pings are answered.
    func next(within seconds: Double = patience) throws -> WsFrame? {
        let limit = now() + seconds
        while let frame = try frame(within: limit - now()) {
            guard frame.kind == .ping, answersPings else { return frame }
            pings += 1
            send(WsFrame(.pong, frame.payload))
        }
        return nil
    }

    /// Every frame up to the Close, which is answered, or to the end of the connection.
    func drain(
        answersClose: Bool = true, within seconds: Double = patience
    ) throws -> WsTranscript {
        let limit = now() + seconds
        var transcript = WsTranscript()
        while let frame = try next(within: limit - now()) {
            if frame.kind == .close {
                transcript.close = frame
                if answersClose {
                    send(WsFrame(.close, Array(frame.payload.prefix(2))))
                    hangUp()
                }
                return transcript
            }
            transcript.frames.append(frame)
        }
        return transcript
    }

    /// True when the connection ends within this time; what comes before that is thrown away.
    func ends(within seconds: Double = patience) throws -> Bool {
        let limit = now() + seconds
        do {
            while try fill(until: limit) { offset = buffer.count }
            return true
        } catch is WsTimeout {
            return false
        }
    }

    /// The next bytes as they are.
    func bytes(_ count: Int, within seconds: Double = patience) throws -> [UInt8] {
        let limit = now() + seconds
        while buffer.count - offset < count, try fill(until: limit) {}
        let bytes = Array(buffer[offset...].prefix(count))
        offset += bytes.count
        return bytes
    }

    /// All bytes until the connection ends, from those on that were not taken.
    func rest(within seconds: Double = patience) throws -> String {
        let limit = now() + seconds
        while try fill(until: limit) {}
        return String(decoding: buffer[offset...], as: UTF8.self)
    }

    private func parse() throws -> WsFrame? {
        let bytes = buffer[offset...]
        guard bytes.count >= 2 else { return nil }
        var head = offset + 2
        var length = Int(buffer[offset + 1] & 0x7F)
        let more = length == 126 ? 2 : length == 127 ? 8 : 0
        let isMasked = buffer[offset + 1] & 0x80 != 0
        guard bytes.count >= 2 + more + (isMasked ? 4 : 0) else { return nil }
        if more > 0 { length = buffer[head..<(head + more)].reduce(0) { $0 << 8 | Int($1) } }
        head += more
        let key = isMasked ? Array(buffer[head..<(head + 4)]) : []
        if isMasked { head += 4 }
        guard buffer.count >= head + length else { return nil }
        var payload = Array(buffer[head..<(head + length)])
        if isMasked { for index in payload.indices { payload[index] ^= key[index & 3] } }
        guard let kind = WsFrame.Kind(rawValue: buffer[offset] & 15) else {
            throw WsTimeout(what: "a frame, not opcode \(buffer[offset] & 15)")
        }
        var frame = WsFrame(
            kind, payload, isFinal: buffer[offset] & 0x80 != 0,
            isCompressed: buffer[offset] & 0x40 != 0)
        frame.isMasked = isMasked
        offset = head + length
        if offset == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            offset = 0
        }
        return frame
    }

    /// Takes in what comes. False at the end of the connection.
    private func fill(until limit: Double) throws -> Bool {
        if offset > 1 << 20 {
            buffer.removeFirst(offset)
            offset = 0
        }
        while true {
            var chunk = [UInt8](repeating: 0, count: 64 << 10)
            let size = recv(descriptor, &chunk, chunk.count, 0)
            if size > 0 {
                buffer += chunk[..<size]
                return true
            }
            if size == 0 { return false }
            guard errno == EAGAIN || errno == EINTR else {
                wasReset = errno == ECONNRESET
                return false
            }
            try awaitEvent(POLLIN, descriptor, until: limit, "something to read")
        }
    }
}

/// What came over a connection.
struct WsTranscript {
    var frames: [WsFrame] = []
    /// Nil: the connection ended without.
    var close: WsFrame?

    /// The payloads of the messages, put together of their fragments.
    var messages: [[UInt8]] {
        frames.reduce(into: []) { messages, frame in
            switch frame.kind {
            case .text, .binary: messages.append(frame.payload)
            case .continuation: messages[messages.count - 1] += frame.payload
            case .close, .ping, .pong: break
            }
        }
    }

    var texts: [String] { messages.map { String(decoding: $0, as: UTF8.self) } }
}
