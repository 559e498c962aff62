/// The messages and control frames that a peer sends. RFC 6455 sections 5 and 7, RFC 7692.
@safe
package struct WebSocketReceiver: ~Copyable {
    package enum Kind: Sendable {
        case text, binary, ping, pong, close
    }

    /// What is kept of a buffer that a message has filled, in bytes. One that was longer than this
    /// leaves its memory.
    private static let kept = 1 << 20
    /// The first byte of a frame that is a message: FIN, no reserved bit, and the opcode.
    private static var wholeText: UInt8 { 0x81 }
    private static var wholeBinary: UInt8 { 0x82 }

    /// How the next call begins.
    private enum State {
        /// No frame and no message has begun.
        case between
        /// A frame or a message has begun.
        case within
        /// `message` was given out.
        case delivered
        /// A message of more than `kept` bytes was given out of the queue.
        case deliveredLarge
        /// Nothing counts behind a Close frame.
        case closed
        case failed(WebSocketError)
    }

    private var state = State.between
    /// Where in the queue the payload is that was given out, if it is not in `message`.
    private var start = 0
    /// Bytes of the queue that the next call consumes.
    private var taken = 0
    /// The frame whose payload arrives: its head is consumed already.
    private var frame: WebSocketFrame?
    /// Bytes of that payload, at the start of the queue, that are unmasked.
    private var unmasked = 0
    /// The message that comes in fragments or compressed, and its bytes so far.
    private var kind: Kind?
    private var isCompressed = false
    /// Text that is not UTF-8 stands in the queue: looking for it again and again would be
    /// quadratic.
    private var hasDefect = false
    private var message = ByteQueue(capacity: 0)
    /// How far the text that arrives is known to be UTF-8, here or in the queue: without it a long
    /// one is quadratic.
    private var checked = 0
    private var inflater: MessageInflater?
    private let isServer: Bool
    private let maxMessage: Int
    /// After .close: its code, 1005 when it has none.
    package private(set) var closeCode = WebSocketClose.none
    /// After .close: its reason, which is UTF-8 and often empty.
    package private(set) var closeReason: [UInt8] = []

    /// `maxMessage` is the longest message in bytes, inflated. Throws when there is no memory.
    package init(
        role: WebSocketRole, maxMessage: Int, deflate: DeflateParameters?
    ) throws(GzipError) {
        precondition(maxMessage >= 0)
        isServer = role == .server
        self.maxMessage = maxMessage
        guard let deflate else { return }
        inflater = try MessageInflater(
            windowBits: isServer ? deflate.clientMaxWindowBits : deflate.serverMaxWindowBits,
            keepsContext: isServer
                ? !deflate.clientNoContextTakeover : !deflate.serverNoContextTakeover)
    }

    /// The next message or control frame in `queue`, or nil while it is not complete. Its bytes are
    /// `payload(queue)` until the next call, which consumes them, or until the queue changes.
    /// Throws what the peer did wrong, as soon as it is sure, and from then on.
    @inline(__always)
    package mutating func next(_ queue: inout ByteQueue) throws(WebSocketError) -> Kind? {
        queue.consume(taken)
        taken = 0
        if let kind = takePlain(queue) { return kind }
        return try advance(&queue)
    }

    /// Appends the text messages that come first in `queue`, each with `end` behind it, to `lines`,
    /// and says how many they are: those that are short, in one frame, and complete. What comes
    /// behind them is for `next`, as is everything when any of it is not UTF-8. `end` is ASCII.
    package mutating func takeTexts(
        _ queue: inout ByteQueue, to lines: inout ByteQueue, end: UInt8
    ) -> Int {
        guard case .between = state, !isServer, !hasDefect else { return 0 }
        queue.consume(taken)
        taken = 0
        let bytes = unsafe queue.bytes
        // A head is longer than an end, so the lines are shorter than the frames.
        let output = unsafe lines.reserve(bytes.count)
        var read = 0
        var written = 0
        var count = 0
        while let frame = unsafe plainFrame(Self.wholeText, bytes, at: read) {
            unsafe (output + written).update(
                from: bytes.baseAddress! + frame.lowerBound, count: frame.count)
            written += frame.count
            unsafe output[written] = end
            written += 1
            read = frame.upperBound
            count += 1
        }
        // An end is ASCII: all of them are UTF-8 exactly when each of them is.
        let text = unsafe UnsafeBufferPointer(start: UnsafePointer(output), count: written)
        hasDefect = unsafe !UTF8Text.isValid(text)
        if hasDefect { return 0 }
        lines.commit(written)
        queue.consume(read)
        return count
    }

    /// Where the payload is of the frame at `offset`, when that is a short, complete message of
    /// this opcode in one frame without reserved bits.
    @inline(__always)
    private func plainFrame(
        _ first: UInt8, _ bytes: UnsafeBufferPointer<UInt8>, at offset: Int
    ) -> Range<Int>? {
        guard unsafe offset + 4 <= bytes.count && bytes[offset] == first else { return nil }
        var length = unsafe Int(bytes[offset + 1])
        var start = offset + 2
        if length == 126 {
            length = unsafe Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3])
            start = offset + 4
            guard length > 125 else { return nil }
        } else if length > 126 {
            return nil
        }
        guard length <= maxMessage, start + length <= bytes.count else { return nil }
        return start..<(start + length)
    }

    /// The payload of what `next` has just returned.
    @inline(__always)
    package func payload(_ queue: borrowing ByteQueue) -> UnsafeBufferPointer<UInt8> {
        if case .delivered = state { return unsafe message.bytes }
        return unsafe queue.bytes(start..<taken)
    }

    /// True between the first and the last byte of a message or frame, when nothing that is
    /// complete is left in `queue`.
    package func isInside(_ queue: borrowing ByteQueue) -> Bool {
        if case .closed = state { return false }
        return frame != nil || kind != nil || queue.count > taken
    }

    /// Bytes of memory that it needs for itself: what came of a message in fragments, and what zlib
    /// takes.
    package var held: Int { message.count + (inflater == nil ? 0 : 40 << 10) }

    /// A data frame that is a message, and complete: no state is touched but where it is.
    @inline(__always)
    private mutating func takePlain(_ queue: borrowing ByteQueue) -> Kind? {
        guard case .between = state, !isServer else { return nil }
        let bytes = unsafe queue.bytes
        if let text = unsafe plainFrame(Self.wholeText, bytes, at: 0) {
            guard unsafe UTF8Text.isValid(bytes.slice(text)) else { return nil }
            (start, taken) = (text.lowerBound, text.upperBound)
            return .text
        }
        guard let binary = unsafe plainFrame(Self.wholeBinary, bytes, at: 0) else { return nil }
        (start, taken) = (binary.lowerBound, binary.upperBound)
        return .binary
    }

    /// What `next` does with anything that is not a plain frame.
    @inline(never)
    private mutating func advance(_ queue: inout ByteQueue) throws(WebSocketError) -> Kind? {
        switch state {
        case .between, .within: break
        case .delivered: forgetMessage()
        case .deliveredLarge: Self.shrink(&queue)
        case .closed:
            queue.removeAll()
            return nil
        case .failed(let error): throw error
        }
        state = .within
        do throws(WebSocketError) {
            return try takeFrames(&queue)
        } catch {
            state = .failed(error)
            throw error
        }
    }

    /// Takes frames until one completes something.
    private mutating func takeFrames(_ queue: inout ByteQueue) throws(WebSocketError) -> Kind? {
        while true {
            if frame == nil {
                guard let (next, size) = try unsafe WebSocketFrame.parse(queue.bytes, rules) else {
                    if kind == nil { state = .between }
                    return nil
                }
                queue.consume(size)
                frame = next
                if !next.opcode.isControl && kind == nil { begin(next) }
            }
            guard let frame else { continue }
            let isWhole = frame.opcode.isControl || kind == nil
            if let taken = isWhole ? try takeWhole(frame, &queue) : try collect(frame, &queue) {
                return taken
            }
            if self.frame != nil { return nil }
        }
    }

    private var rules: WebSocketFrame.Rules {
        WebSocketFrame.Rules(
            isMasked: isServer, allowsCompression: inflater != nil, isInMessage: kind != nil,
            limit: isCompressed ? .max : maxMessage - message.count, maxMessage: maxMessage)
    }

    /// Begins a message, unless the frame is all of it and can stay in the queue.
    private mutating func begin(_ frame: WebSocketFrame) {
        if frame.isFinal && !frame.isCompressed { return }
        kind = frame.opcode == .text ? .text : .binary
        isCompressed = frame.isCompressed
    }

    /// Takes a frame that is complete by itself, and stays in the queue; nil while it is not there.
    private mutating func takeWhole(
        _ frame: WebSocketFrame, _ queue: inout ByteQueue
    ) throws(WebSocketError) -> Kind? {
        let arrived = min(queue.count, frame.length)
        unmask(&queue, arrived)
        let isComplete = arrived == frame.length
        if frame.opcode == .text {
            try unsafe checkText(queue.bytes(0..<arrived), isComplete: isComplete)
        }
        guard isComplete else { return nil }
        self.frame = nil
        unmasked = 0
        start = 0
        taken = frame.length
        if kind == nil {
            checked = 0
            state = frame.length > Self.kept ? .deliveredLarge : .between
        }
        switch frame.opcode {
        case .text: return .text
        case .ping: return .ping
        case .pong: return .pong
        case .close:
            try unsafe readClose(queue.bytes(0..<arrived))
            return .close
        case .binary, .continuation: return .binary
        }
    }

    private mutating func unmask(_ queue: inout ByteQueue, _ arrived: Int) {
        guard let key = frame?.key else { return }
        queue.mask(unmasked..<arrived, key: key)
        frame?.key = key.turned(arrived - unmasked)
        unmasked = arrived
    }

    /// The code and the reason of a Close frame. RFC 6455 section 5.5.1.
    private mutating func readClose(
        _ payload: UnsafeBufferPointer<UInt8>
    ) throws(WebSocketError) {
        state = .closed
        frame = nil
        if payload.isEmpty { return }
        guard payload.count >= 2 else { throw .violation("Close frame of one byte") }
        let code = unsafe UInt16(payload[0]) << 8 | UInt16(payload[1])
        guard WebSocketClose.isAllowed(code) else {
            throw .violation("Close frame with code \(code)")
        }
        let reason = unsafe payload.slice(2..<payload.count)
        guard unsafe UTF8Text.isValid(reason) else { throw .notUTF8 }
        closeCode = code
        closeReason = unsafe Array(reason)
    }

    /// Takes what arrived of a frame into `message`; the message's kind when that completes it.
    private mutating func collect(
        _ frame: WebSocketFrame, _ queue: inout ByteQueue
    ) throws(WebSocketError) -> Kind? {
        let arrived = min(queue.count, frame.length)
        unmask(&queue, arrived)
        unmasked = 0
        let rest = frame.length - arrived
        let isComplete = rest == 0 && frame.isFinal
        var outcome = MessageInflater.Outcome.inflated
        if isCompressed {
            outcome = unsafe inflate(queue.bytes(0..<arrived), isComplete: isComplete)
        } else {
            unsafe message.append(queue.bytes(0..<arrived))
        }
        queue.consume(arrived)
        self.frame?.length = rest
        // What was inflated first: then the cuts make no difference to which error is found.
        if kind == .text {
            try unsafe checkText(
                message.bytes, isComplete: isComplete && outcome == .inflated)
        }
        try check(outcome)
        guard rest == 0 else { return nil }
        self.frame = nil
        guard isComplete else { return nil }
        state = .delivered
        return kind.take()
    }

    private mutating func inflate(
        _ payload: UnsafeBufferPointer<UInt8>, isComplete: Bool
    ) -> MessageInflater.Outcome {
        let outcome = unsafe inflater!.inflate(payload, into: &message, limit: maxMessage)
        guard outcome == .inflated && isComplete else { return outcome }
        return inflater!.finish(into: &message, limit: maxMessage)
    }

    private func check(_ outcome: MessageInflater.Outcome) throws(WebSocketError) {
        switch outcome {
        case .inflated: break
        case .tooLong: throw .tooBig(limit: maxMessage)
        case .corrupt:
            throw WebSocketError(
                code: WebSocketClose.invalidPayload,
                reason: "compressed message that does not inflate")
        case .outOfMemory:
            throw WebSocketError(code: WebSocketClose.internalError, reason: "out of memory")
        }
    }

    /// Checks what is new of a text. Fails as soon as nothing that follows could make it UTF-8.
    private mutating func checkText(
        _ text: UnsafeBufferPointer<UInt8>, isComplete: Bool
    ) throws(WebSocketError) {
        let new = unsafe text.slice(checked..<text.count)
        let unfinished = unsafe isComplete ? 0 : UTF8Text.unfinishedSuffix(of: new)
        guard unsafe UTF8Text.isValid(new.slice(0..<(new.count - unfinished))) else {
            throw .notUTF8
        }
        checked = text.count - unfinished
    }

    private mutating func forgetMessage() {
        // A queue takes at most twice what it was filled with.
        if message.count > Self.kept / 4 {
            message = ByteQueue(capacity: 0)
        } else {
            message.removeAll()
        }
        isCompressed = false
        checked = 0
    }

    /// Gives the memory back that a large message has needed.
    private static func shrink(_ queue: inout ByteQueue) {
        var smaller = ByteQueue(capacity: max(queue.count, 64 << 10))
        unsafe smaller.append(queue.bytes)
        queue = smaller
    }
}
