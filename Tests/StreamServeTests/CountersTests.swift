import StreamTool
import Testing

@testable import stream_serve

@Suite struct CountersTests {
    /// Those of several workers together.
    @Test func counters() {
        var one = Counters()
        one.connections[1] = 2
        one.dropped[0] = 3
        one.historyEvents = 10
        one.historyBytes = 100
        one.feeds = 1
        one.lag.add(nanoseconds: 5)
        var total = one
        total.add(one)
        #expect(total.connections[1] == 4 && total.dropped[0] == 6 && total.feeds == 2)
        // Each worker has the same events.
        #expect(total.historyEvents == 10 && total.historyBytes == 100)
        #expect(total.lag.count == 2)
        let board = Board(workers: 2)
        board.post(one, of: 0)
        board.post(one, of: 1)
        board.post(one, of: 1)
        board.post(eventsIn: 7, [("input_bytes", .counts([8]))])
        let (sum, events, common) = board.total()
        #expect(sum.connections[1] == 4 && events == 7 && common.count == 1)
        #expect(board.loads() == [2, 2])
        #expect(board.running() == 2)
        board.leave()
        #expect(board.running() == 1 && !board.ready())
        board.setReady(true)
        #expect(board.ready())
    }
}
