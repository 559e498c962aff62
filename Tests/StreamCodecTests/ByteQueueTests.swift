import StreamCodec
import Testing

@Suite struct ByteQueueTests {
    /// Beside an array that does the same.
    @Test func likeAnArray() {
        var random = SplitMix64("likeAnArray")
        for _ in 0..<100 {
            var queue = ByteQueue(capacity: random.pick([0, 1, 16, 4096]))
            var model: [UInt8] = []
            for _ in 0..<200 {
                change(&queue, &model, &random)
                check(Array(queue.bytes), model)
                check(queue.count, model.count)
                check(queue.isEmpty, model.isEmpty)
            }
        }
    }

    private func change(
        _ queue: inout ByteQueue, _ model: inout [UInt8], _ random: inout SplitMix64
    ) {
        let count = random.number(0...model.count)
        switch random.number(0...8) {
        case 0...2:
            let more = (0..<random.number(0...90)).map { _ in UInt8(random.number(0...255)) }
            queue.append(more)
            model += more
        case 3:
            queue.consume(count)
            model.removeFirst(count)
        case 4:
            queue.truncate(count)
            model.removeLast(model.count - count)
        case 5:
            let number = random.number(-5000...5000)
            queue.append(decimal: number)
            model += bytes(String(number))
        case 6:
            queue.replaceAll(65, with: 66, from: count)
            for index in count..<model.count where model[index] == 65 { model[index] = 66 }
        case 7 where !model.isEmpty:
            let size = model.count - count
            let target = random.number(0...count)
            queue.move(count..<(count + size), to: target)
            model.replaceSubrange(target..<(target + size), with: Array(model[count...]))
        default:
            let space = queue.reserve(40)
            for index in 0..<40 { space[index] = 65 }
            queue.commit(40)
            model += [UInt8](repeating: 65, count: 40)
        }
    }

    @Test func texts() {
        var queue = ByteQueue(capacity: 1)
        queue.append("static")
        queue.append(bytes("éé"))
        queue.append(UInt8(ascii: "x"))
        queue.append(decimal: .min)
        #expect(text(queue.bytes) == "staticééx-9223372036854775808")
        queue.removeAll()
        check(queue.count, 0)
    }
}
