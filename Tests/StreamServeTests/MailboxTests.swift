import Foundation
import StreamCodec
import Testing

@testable import stream_serve

@Suite struct MailboxTests {
    private func isReadable(_ descriptor: Int32, milliseconds: Int32 = 0) -> Bool {
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&watched, 1, milliseconds) == 1
    }

    private func post(_ events: Events, _ range: Range<Int>, to mailbox: Mailbox) {
        var batch = ByteQueue()
        for index in range {
            let event = events[index]
            batch.append(
                UnsafeBufferPointer(
                    start: UnsafeRawPointer(event.head).assumingMemoryBound(to: UInt8.self),
                    count: event.head.pointee.size))
        }
        mailbox.post(batch.bytes)
    }

    private func receipt(_ number: Int) -> Note {
        let sender = Sender(
            worker: 0, client: number, generation: 0, number: 0, ref: nil, isHTTP: false)
        return .published(Receipt(sender: sender, ids: "", count: number))
    }

    /// What the other thread has taken.
    private final class Taken: @unchecked Sendable {
        var sequences: [UInt64] = []
        var notes: [Int] = []
        var isWoken = true
    }

    /// Takes until it is told of the end, and waits for the descriptor when it has taken all.
    private func takeAll(_ mailbox: Mailbox, _ random: inout Random) -> Taken {
        let taken = Taken()
        var queue = ByteQueue()
        var sawEnd = false
        while !sawEnd || !queue.isEmpty || !mailbox.isEmpty() {
            if queue.isEmpty && mailbox.isEmpty() {
                taken.isWoken = isReadable(mailbox.descriptor, milliseconds: 60_000)
                if !taken.isWoken { break }
            }
            for note in mailbox.take(&queue, takesEvents: queue.isEmpty) {
                switch note {
                case .published(let receipt): taken.notes.append(receipt.count)
                case .end: sawEnd = true
                case .adopt: break
                }
            }
            // At times it leaves events for the next turn.
            var left = random.oneIn(3) ? random.below(20) : .max
            while left > 0 && !queue.isEmpty {
                let start = UnsafeMutableRawPointer(mutating: queue.bytes.baseAddress!)
                let event = StoredEvent(start)
                taken.sequences.append(event.head.pointee.sequence)
                queue.consume(event.head.pointee.size)
                left -= 1
            }
        }
        return taken
    }

    /// Two threads: all events in their order, all notes in theirs.
    @Test func orderBetweenThreads() throws {
        let events = Events()
        for number in 0..<20_000 { try events.add("\(number)") }
        let mailbox = Mailbox(room: Signal())
        let box = Box()
        let thread = Thread {
            var random = Random("taker")
            box.taken = self.takeAll(mailbox, &random)
            box.done.signal()
        }
        thread.start()
        var random = Random("poster")
        var index = 0
        var noted = 0
        while index < events.count {
            let count = min(1 + random.below(50), events.count - index)
            post(events, index..<(index + count), to: mailbox)
            index += count
            if random.oneIn(5) {
                noted += 1
                mailbox.post(receipt(noted))
            }
            if random.oneIn(50) { usleep(200) }
        }
        mailbox.post(.end(.input))
        #expect(box.done.wait(timeout: .now() + 60) == .success)
        let taken = try #require(box.taken)
        #expect(taken.isWoken)
        #expect(taken.sequences == Array(1...20_000))
        #expect(taken.notes == Array(1..<(noted + 1)))
    }

    private final class Box: @unchecked Sendable {
        var taken: Taken?
        let done = DispatchSemaphore(value: 0)
    }

    /// The descriptor is readable exactly while something waits that was not looked at.
    @Test func signals() throws {
        let room = Signal()
        let mailbox = Mailbox(room: room)
        let events = try pack("1")
        var queue = ByteQueue()
        #expect(!isReadable(mailbox.descriptor) && mailbox.isEmpty())
        post(events, 0..<1, to: mailbox)
        post(events, 0..<1, to: mailbox)
        #expect(isReadable(mailbox.descriptor) && !mailbox.isEmpty())
        _ = mailbox.take(&queue, takesEvents: false)
        #expect(queue.isEmpty && !mailbox.isEmpty())
        _ = mailbox.take(&queue, takesEvents: true)
        #expect(queue.count == 2 * events.size && mailbox.isEmpty())
        #expect(!isReadable(mailbox.descriptor))
        queue.removeAll()
        mailbox.post(.end(.input))
        #expect(isReadable(mailbox.descriptor))
        #expect(mailbox.take(&queue, takesEvents: true).count == 1)
        #expect(mailbox.take(&queue, takesEvents: true).isEmpty)
    }

    /// The publisher that waits for room is told once there is some.
    @Test func room() throws {
        let room = Signal()
        let mailbox = Mailbox(room: room)
        #expect(!mailbox.isFull())
        let events = try pack("\"\(String(repeating: "x", count: Mailbox.full))\"")
        post(events, 0..<1, to: mailbox)
        #expect(mailbox.isFull())
        var queue = ByteQueue()
        _ = mailbox.take(&queue, takesEvents: false)
        #expect(!isReadable(room.descriptor) && mailbox.isFull())
        _ = mailbox.take(&queue, takesEvents: true)
        #expect(isReadable(room.descriptor) && !mailbox.isFull())
        room.clear()
        #expect(!isReadable(room.descriptor))
        queue.removeAll()
        post(events, 0..<1, to: mailbox)
        _ = mailbox.take(&queue, takesEvents: true)
        // Nobody had asked.
        #expect(!isReadable(room.descriptor))
    }

    // MARK: The other way

    private func item(_ number: Int, size: Int = 1) -> Inbox.Item {
        Inbox.Item(
            sender: Sender(
                worker: 0, client: number, generation: 0, number: number, ref: nil, isHTTP: false),
            messages: [
                Inbox.Message(channel: [], event: [], data: [UInt8](repeating: 0x31, count: size))
            ])
    }

    @Test func inboxIsBounded() {
        let inbox = Inbox()
        #expect(!isReadable(inbox.signal.descriptor))
        // One is always taken, whatever its size.
        // Results first: what is expected keeps the bytes, and prints them.
        let takesLarge = inbox.post(item(1, size: 9 << 20))
        let takesAnother = inbox.post(item(2))
        #expect(takesLarge && !takesAnother)
        #expect(isReadable(inbox.signal.descriptor))
        inbox.signal.clear()
        #expect(inbox.take().map(\.sender.number) == [1])
        #expect(inbox.take().isEmpty)
        #expect(inbox.post(item(3)) && inbox.post(item(4)))
        #expect(isReadable(inbox.signal.descriptor))
        #expect(inbox.take().map(\.sender.number) == [3, 4])
        // Events and channels are memory, too.
        var many = item(5)
        many.messages[0].event = [UInt8](repeating: 0x61, count: 9 << 20)
        let takesMany = inbox.post(many)
        let takesMore = inbox.post(item(6))
        #expect(takesMany && !takesMore)
    }

    /// Workers post at the same time: nothing is lost, and each one's items keep their order.
    @Test func inboxOfWorkers() {
        let inbox = Inbox()
        let done = DispatchGroup()
        for worker in 0..<3 {
            done.enter()
            Thread {
                for number in 0..<3000 {
                    while !inbox.post(self.item(worker << 16 | number)) { usleep(10) }
                }
                done.leave()
            }.start()
        }
        var numbers: [Int] = []
        while numbers.count < 9000 {
            guard isReadable(inbox.signal.descriptor, milliseconds: 60_000) else { break }
            inbox.signal.clear()
            numbers += inbox.take().map(\.sender.number)
        }
        done.wait()
        for worker in 0..<3 {
            let own = numbers.filter { $0 >> 16 == worker }.map { $0 & 0xFFFF }
            #expect(own == Array(0..<3000))
        }
    }
}
