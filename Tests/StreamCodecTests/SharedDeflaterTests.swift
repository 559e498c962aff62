import StreamCodec
import Testing

/// One compressor for many receivers: RFC 1951, RFC 1952 and RFC 7692, read by zlib.
@Suite struct SharedDeflaterTests {
    private static let flushEnd: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

    /// Each piece can be inflated when it is there, ends where a byte ends, and the whole is a
    /// member.
    @Test(arguments: 1...9) func receiverFromTheStart(_ level: Int) throws {
        var random = SplitMix64("fromTheStart \(level)")
        var sender = try Sender(level: level)
        var receiver = GzipReceiver(at: sender.tally)
        var inflater = try GzipInflater()
        var wire = ByteQueue()
        var target = ByteQueue()
        wire.append(receiver.wire)
        for _ in 0..<300 {
            let event = random.event()
            let piece = sender.piece(event, endsAtBoundary: random.chance(1, in: 10))
            check(Array(piece.suffix(4)), Self.flushEnd)
            receiver.take(piece, of: event)
            wire.append(piece)
            while try inflater.inflate(&wire, into: &target) {}
            check(target.count, receiver.plain.count)
        }
        check(sender.tally, GzipTally(crc: crc32(receiver.plain), length: UInt64(target.count)))
        receiver.checkEnd(at: sender.tally)
    }

    /// At each boundary, and nowhere else.
    @Test(arguments: [1, 3, 6, 9]) func joiningAnywhere(_ level: Int) throws {
        var random = SplitMix64("joiningAnywhere \(level)")
        var sender = try Sender(level: level)
        var receivers: [GzipReceiver] = []
        for number in 0..<60 {
            check(sender.isAtBoundary, number % 7 == 0)
            receivers.append(GzipReceiver(at: sender.tally))
            let event = random.event()
            let piece = sender.piece(event, endsAtBoundary: number % 7 == 6)
            for index in receivers.indices { receivers[index].take(piece, of: event) }
        }
        for (number, var receiver) in receivers.enumerated() {
            receiver.end(at: sender.tally)
            let isRead = gunzip([receiver.wire]) == Inflated(bytes: receiver.plain)
            check(isRead, number % 7 == 0, "joined at \(number)")
        }
    }

    /// Bytes for one receiver alone move its window, and it goes on at a boundary. The same bytes
    /// as those of a piece, stored in its place, leave the window what it is.
    @Test func storedBetween() throws {
        var random = SplitMix64("storedBetween")
        var sender = try Sender(level: 6)
        var alone = GzipReceiver(at: sender.tally)
        var replaced = alone
        var astray = alone
        for number in 0..<100 {
            let event = random.event()
            let piece = sender.piece(event, endsAtBoundary: number % 5 == 4)
            if number % 5 == 3 { alone.part(at: sender.tallyBefore) }
            if alone.isFollowing { alone.take(piece, of: event) } else { alone.takeStored(event) }
            if number % 5 == 3 { alone.takeStored(bytes(": only for you\n\n")) }
            if number % 5 == 4 { alone.rejoin(at: sender.tally) }
            replaced.take(number % 3 == 1 ? stored(event) : piece, of: event)
            astray.take(piece, of: event)
            guard number == 51 else { continue }
            astray.part(at: sender.tally)
            astray.takeStored(bytes(": only for you\n\n"))
            astray.rejoin(at: sender.tally)
        }
        alone.checkEnd(at: sender.tally)
        replaced.checkEnd(at: sender.tally)
        astray.end(at: sender.tally)
        check(gunzip([astray.wire]).error != nil, true, "went on off a boundary")
    }

    @Test(arguments: [0, 1, 2, 65_534, 65_535, 65_536, 131_070, 131_071, 300_000])
    func storedBlocks(_ size: Int) throws {
        var random = SplitMix64("stored \(size)")
        let plain = random.noise(size)
        var receiver = GzipReceiver(at: GzipTally())
        let blocks = (size + 65_534) / 65_535
        receiver.part(at: GzipTally())
        receiver.takeStored(plain)
        check(receiver.wire.count, 10 + 5 * blocks + size)
        receiver.checkEnd(at: GzipTally())
        check(receiver.wire.count, 10 + 5 * blocks + size + 10)
    }

    /// Beyond one step of the deflater, and beyond the window.
    @Test(arguments: [1, 6]) func large(_ level: Int) throws {
        var random = SplitMix64("large \(level)")
        let sizes = [1, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 200_000, 1_000_000]
        var sender = try Sender(level: level)
        var receivers = [GzipReceiver(at: sender.tally)]
        for size in sizes + sizes.reversed() {
            let repeated = Array(repeatElement(random.event(), count: size / 100 + 1).joined())
            for plain in [
                random.noise(size), [UInt8](repeating: 0, count: size),
                Array(repeated.prefix(size)), random.noise(size) + repeated.prefix(size),
            ] {
                if sender.isAtBoundary { receivers.append(GzipReceiver(at: sender.tally)) }
                let piece = sender.piece(plain, endsAtBoundary: random.chance(1, in: 4))
                check(piece.count <= plain.count + plain.count >> 8 + 64, true, "\(plain.count)")
                for index in receivers.indices { receivers[index].take(piece, of: plain) }
            }
        }
        // A member of many MiB takes long; the first one and the last ones tell enough.
        for var receiver in receivers.prefix(1) + receivers.suffix(3) {
            receiver.checkEnd(at: sender.tally)
        }
    }

    /// A flush that is asked for again writes a second empty block, or fails. It would be when the
    /// room of a step is full to the last byte, so every size is tried.
    @Test(arguments: [1, 3, 6, 9]) func oneFlush(_ level: Int) throws {
        var random = SplitMix64("oneFlush \(level)")
        var sender = try Sender(level: level)
        for size in Array(1...700) + (0..<60).map({ _ in random.number(700...60_000) }) {
            let plain = random.chance(1, in: 2) ? random.noise(size) : random.noise(size, shift: 1)
            let piece = sender.piece(plain, endsAtBoundary: random.chance(1, in: 3))
            check(Array(piece.suffix(9)) == Self.flushEnd + [0] + Self.flushEnd, false, "\(size)")
            let message = sender.message(plain, endsAtBoundary: random.chance(1, in: 3))
            check(Array(message.suffix(5)) == Self.flushEnd + [0], false, "\(size)")
        }
    }

    /// Events of about 200 bytes shrink to less than 35 %, because they refer to those before. With
    /// a full flush for each there is nothing to refer to.
    @Test func windowIsShared() throws {
        var random = SplitMix64("windowIsShared")
        let events = (0..<2000).map { _ in random.event() }
        let size = events.reduce(0) { $0 + $1.count }
        check((190...210).contains(size / events.count), true, "\(size / events.count) bytes each")
        for level in [1, 3, 6] {
            var shared = try Sender(level: level)
            var alone = try Sender(level: level)
            let sizes = events.reduce(into: (shared: 0, alone: 0)) {
                $0.shared += shared.piece($1, endsAtBoundary: false).count
                $0.alone += alone.piece($1, endsAtBoundary: true).count
            }
            check(sizes.shared * 100 < size * 35, true, "level \(level): \(sizes) of \(size)")
            check(sizes.alone * 100 > size * 60, true, "level \(level): \(sizes) of \(size)")
        }
    }

    @Test func boundary() throws {
        var sender = try Sender(level: 6)
        check(sender.isAtBoundary, true)
        for endsAtBoundary in [false, true, true, false, false, true] {
            _ = sender.piece(bytes("event"), endsAtBoundary: endsAtBoundary)
            check(sender.isAtBoundary, endsAtBoundary)
            // An empty message is no boundary, and takes none away.
            check(sender.message([], endsAtBoundary: !endsAtBoundary), [0x00])
            check(sender.isAtBoundary, endsAtBoundary)
            _ = sender.message(bytes("event"), endsAtBoundary: !endsAtBoundary)
            check(sender.isAtBoundary, !endsAtBoundary)
        }
        check(sender.tally.length, 30, "messages are not counted")
    }

    @Test func tally() throws {
        check(MemoryLayout<GzipTally>.size, 12)
        var random = SplitMix64("tally")
        for _ in 0..<200 {
            let plain = (0..<3).map { _ in random.noise(random.number(0...300)) }
            let points = (0...3).map { tallied(Array(plain.prefix($0).joined())) }
            var tally = tallied(bytes("mine"))
            tally.add(from: points[1], to: points[2])
            tally.add(from: points[0], to: points[3])
            tally.add(from: points[2], to: points[2])
            check(tally, tallied(bytes("mine") + plain[1] + plain.joined()))
        }
    }

    /// The polynomial of RFC 1952 has the order 2^32 - 1: moved over as many bytes, a checksum is
    /// what it was.
    @Test func longTally() throws {
        let order: UInt64 = 0xFFFF_FFFF
        var tally = tallied(bytes("abc"))
        tally.add(
            from: GzipTally(crc: 0, length: 7), to: GzipTally(crc: 0x1234_5678, length: 7 + order))
        check(tally, GzipTally(crc: crc32(bytes("abc")) ^ 0x1234_5678, length: 3 + order))
        let end = written { tally.appendEnd(to: &$0) }
        check(Array(end.suffix(4)), [0x02, 0, 0, 0], "length modulo 2^32")
    }

    /// RFC 7692, sections 7.2.3.1, 7.2.3.2 and 7.2.3.6.
    @Test func messageVectors() throws {
        let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
        var sender = try Sender(level: 6)
        check(sender.message(bytes("Hello"), endsAtBoundary: false), hello)
        check(sender.message(bytes("Hello"), endsAtBoundary: false), [0xF2, 0, 0x11, 0, 0])
        check(sender.message([], endsAtBoundary: false), [0x00])
        _ = sender.message(bytes("Hello"), endsAtBoundary: true)
        check(sender.message(bytes("Hello"), endsAtBoundary: false), hello)
    }

    /// One from the start, some from a boundary; uncompressed messages do not move the window.
    @Test(arguments: [1, 3, 6, 9]) func messages(_ level: Int) throws {
        var random = SplitMix64("messages \(level)")
        for program in 0..<8 {
            var sender = try Sender(level: level)
            for receiver in 0..<3 {
                var inflater = try MessageInflater(windowBits: 15, keepsContext: true)
                var isFollowing = receiver == 0
                for _ in 0..<80 {
                    if sender.isAtBoundary { isFollowing = isFollowing || random.chance(1, in: 2) }
                    let plain = random.chance(1, in: 10) ? random.noise() : random.event()
                    let payload = sender.message(plain, endsAtBoundary: random.chance(1, in: 8))
                    // It misses this one: what it goes on with must not refer to that.
                    if isFollowing && random.chance(1, in: 20) { isFollowing = false }
                    guard isFollowing else { continue }
                    let cuts = random.cuts(payload, count: 3)
                    check(inflate(cut(payload, at: cuts), &inflater), plain, "\(program)")
                }
            }
        }
    }

    /// Receivers come at boundaries, leave, miss events, get some alone, and go on at a boundary.
    @Test func randomPrograms() throws {
        var random = SplitMix64("sharedPrograms")
        for program in 0..<60 {
            var sender = try Sender(level: random.number(1...9))
            var receivers: [GzipReceiver] = []
            for _ in 0..<random.number(20...120) {
                if sender.isAtBoundary {
                    for index in receivers.indices where !receivers[index].isFollowing {
                        if random.chance(2, in: 3) { receivers[index].rejoin(at: sender.tally) }
                    }
                    if random.chance(1, in: 2) { receivers.append(GzipReceiver(at: sender.tally)) }
                }
                let event = random.chance(1, in: 20) ? random.noise() : random.event()
                let piece = sender.piece(event, endsAtBoundary: random.chance(1, in: 5))
                for index in receivers.indices {
                    if receivers[index].isFollowing && random.chance(1, in: 12) {
                        receivers[index].part(at: sender.tallyBefore)
                    }
                    if receivers[index].isFollowing {
                        let isStored = random.chance(1, in: 10)
                        receivers[index].take(isStored ? stored(event) : piece, of: event)
                    } else if random.chance(1, in: 2) {
                        receivers[index].takeStored(event)
                    }
                }
                if !receivers.isEmpty && random.chance(1, in: 15) {
                    var leaver = receivers.remove(at: random.number(0...(receivers.count - 1)))
                    leaver.checkEnd(at: sender.tally, "\(program)")
                }
            }
            for var receiver in receivers { receiver.checkEnd(at: sender.tally, "\(program)") }
        }
    }

    private func inflate(_ chunks: [[UInt8]], _ inflater: inout MessageInflater) -> [UInt8] {
        var target = ByteQueue()
        for chunk in chunks {
            let outcome = chunk.withUnsafeBufferPointer {
                inflater.inflate($0, into: &target, limit: 1 << 20)
            }
            check(outcome, .inflated)
        }
        check(inflater.finish(into: &target, limit: 1 << 20), .inflated)
        return Array(target.bytes)
    }
}

private func written(_ write: (inout ByteQueue) -> Void) -> [UInt8] {
    var queue = ByteQueue()
    write(&queue)
    return Array(queue.bytes)
}

private func stored(_ plain: [UInt8]) -> [UInt8] {
    plain.withUnsafeBufferPointer { plain in written { GzipTally.appendStored(plain, to: &$0) } }
}

private func tallied(_ plain: [UInt8]) -> GzipTally {
    var tally = GzipTally()
    plain.withUnsafeBufferPointer { tally.add($0) }
    check(tally, GzipTally(crc: crc32(plain), length: UInt64(plain.count)))
    return tally
}

/// The compressor, and what it appended to a queue that is in use.
private struct Sender: ~Copyable {
    private var deflater: SharedDeflater
    private var queue = ByteQueue(capacity: 16)
    /// Before the last piece.
    private(set) var tallyBefore = GzipTally()

    init(level: Int) throws(GzipError) {
        deflater = try SharedDeflater(level: level)
        queue.append("waiting")
    }

    var tally: GzipTally { deflater.tally }
    var isAtBoundary: Bool { deflater.isAtBoundary }

    mutating func piece(_ plain: [UInt8], endsAtBoundary: Bool) -> [UInt8] {
        tallyBefore = tally
        plain.withUnsafeBufferPointer {
            deflater.deflate($0, into: &queue, endsAtBoundary: endsAtBoundary)
        }
        check(GzipTally(crc: deflater.crc, length: deflater.length), tally)
        return takeWritten()
    }

    mutating func message(_ plain: [UInt8], endsAtBoundary: Bool) -> [UInt8] {
        plain.withUnsafeBufferPointer {
            deflater.deflateMessage($0, into: &queue, endsAtBoundary: endsAtBoundary)
        }
        return takeWritten()
    }

    private mutating func takeWritten() -> [UInt8] {
        check(queue.bytes(0..<7).isEqual(to: "waiting"), true)
        defer { queue.truncate(7) }
        return Array(queue.bytes(7..<queue.count))
    }
}

/// One receiver's member: what was sent to it, and what it must read.
private struct GzipReceiver {
    private(set) var wire: [UInt8]
    private(set) var plain: [UInt8] = []
    private var tally = GzipTally()
    /// Where it began to follow the shared stream; nil while it does not.
    private var start: GzipTally?

    init(at point: GzipTally) {
        start = point
        wire = written { GzipTally.appendHeader(to: &$0) }
    }

    var isFollowing: Bool { start != nil }

    mutating func take(_ piece: [UInt8], of event: [UInt8]) {
        wire += piece
        plain += event
    }

    mutating func part(at point: GzipTally) {
        if let start { tally.add(from: start, to: point) }
        start = nil
    }

    mutating func rejoin(at point: GzipTally) { start = point }

    mutating func takeStored(_ event: [UInt8]) {
        // A shared stretch would have to be counted first.
        check(isFollowing, false)
        event.withUnsafeBufferPointer { tally.add($0) }
        take(stored(event), of: event)
    }

    mutating func end(at point: GzipTally) {
        part(at: point)
        wire += written { tally.appendEnd(to: &$0) }
    }

    /// Ends the member, which must be complete and hold what the receiver was sent.
    mutating func checkEnd(at point: GzipTally, _ what: String = "") {
        end(at: point)
        check(gunzip([wire], maxRatio: 2000), Inflated(bytes: plain), what)
    }
}

extension SplitMix64 {
    /// Of 1 to 100,000 bytes.
    fileprivate mutating func noise() -> [UInt8] { noise(number(1...100_000)) }

    /// From 2 MiB that were made once. `shift` makes bytes that shrink by as many bits.
    fileprivate mutating func noise(_ size: Int, shift: UInt8 = 0) -> [UInt8] {
        let start = number(0...(Self.noise.count - size))
        let noise = Self.noise[start..<(start + size)]
        return shift == 0 ? Array(noise) : noise.map { $0 >> shift }
    }

    private static let noise: [UInt8] = {
        var random = SplitMix64("noise")
        return (0..<(2 << 20)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }()

    /// About 200 bytes, like those of a market's feed.
    fileprivate mutating func event() -> [UInt8] {
        let price = number(640_000...649_999)
        let time = number(10...59)
        let symbol = pick(["BTC-EUR", "ETH-EUR", "SOL-USD", "XRP-USD"])
        return bytes(
            #"data: {"type":"trade","symbol":"\#(symbol)","price":"\#(price).\#(price % 97)","#
                + #""quantity":"0.\#(number(1000...99_999))","side":"\#(pick(["buy", "sell"]))","#
                + #""time":"2025-03-14T09:26:\#(time).\#(number(100...999))Z","#
                + #""sequence":\#(number(10_000_000...10_999_999)),"maker":\#(chance(1, in: 2)),"#
                + #""venue":"exchange-eu-1","v":2}"# + "\n\n")
    }
}
