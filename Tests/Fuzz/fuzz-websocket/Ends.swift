import FuzzSupport
import StreamCodec

/// What a receiver said, call by call.
enum Received: Equatable {
    case message(String, [UInt8])
    case close(UInt16, [UInt8])
    case error(WebSocketError)
    /// The stream ended within a message or a frame.
    case cutOff
}

/// What comes of a stream that arrives in these reads.
func receive(
    _ stream: [UInt8], _ cuts: Cuts, _ role: WebSocketRole, _ maxMessage: Int,
    _ parameters: DeflateParameters?
) -> [Received] {
    var received: [Received] = []
    do throws(GzipError) {
        var receiver = try WebSocketReceiver(
            role: role, maxMessage: maxMessage, deflate: parameters)
        var queue = ByteQueue(capacity: 1)
        do throws(WebSocketError) {
            for read in cuts.reads(of: stream) {
                queue.append(Array(read))
                while let kind = try receiver.next(&queue) {
                    let payload = Array(receiver.payload(queue))
                    received.append(
                        kind == .close
                            ? .close(receiver.closeCode, receiver.closeReason)
                            : .message("\(kind)", payload))
                }
            }
            if receiver.isInside(queue) { received.append(.cutOff) }
        } catch {
            received.append(.error(error))
        }
    } catch {
        fatalError("\(error)")
    }
    return received
}

/// The stream of these events.
func send(
    _ events: [Received], _ role: WebSocketRole, _ parameters: DeflateParameters?, level: Int,
    fragment: Int?
) -> [UInt8] {
    var queue = ByteQueue(capacity: 1)
    do throws(GzipError) {
        var sender = try WebSocketSender(
            role: role, deflate: parameters, level: level, fragment: fragment)
        for event in events {
            switch event {
            case .message(let kind, let payload):
                withExactCopy(payload) {
                    sender.append(kind == "ping" ? .ping : .binary, $0, to: &queue)
                }
            case .close(let code, let reason): sender.appendClose(code, reason, to: &queue)
            case .error, .cutOff: break
            }
        }
    } catch {
        fatalError("\(error)")
    }
    return Array(queue.bytes)
}
