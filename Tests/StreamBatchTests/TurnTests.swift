import Testing

@testable import stream_batch

@Suite struct TurnTests {
    private func batch(_ lines: [String], seq: Int = 1) -> Batch {
        Batch(
            seq: seq, key: [], count: lines.count, lines: lines.flatMap { Array(($0 + "\n").utf8) },
            summary: nil, from: 0, to: 0, journalID: 0)
    }

    private func text(_ turn: Turn, _ part: Part) -> String {
        String(decoding: turn.content(of: part).lines, as: UTF8.self)
    }

    private func turn(_ lines: [String]) -> Turn { Turn(batch(lines), Policy.Case(id: 1)) }

    private func split(_ turn: inout Turn) {
        turn.split(0, (Policy.Case(id: 2), Policy.Case(id: 3)))
    }

    private func child() -> Child { .silent }

    @Test func splitsIntoHalvesUntilLinesStandAlone() {
        var turn = turn(["a", "", "ccc", "dd", "e"])
        var seen: [String] = []
        while let part = turn.parts.first {
            if turn.canBeSplit(0) {
                split(&turn)
            } else {
                seen.append("\(part.name)=\(text(turn, part))")
                turn.deliver(0, nil)
            }
        }
        #expect(seen == ["1-1=a\n", "2-2=\n", "3-3=ccc\n", "4-4=dd\n", "5-5=e\n"])
        #expect(turn.isDelivered)
    }

    @Test func firstHalfComesFirst() {
        var turn = turn(["a", "b", "c", "d", "e"])
        #expect(turn.parts.map(\.name) == ["1-5"])
        split(&turn)
        #expect(turn.parts.map(\.name) == ["1-2", "3-5"])
        #expect(turn.content(of: turn.parts[1]).count == 3)
        #expect(text(turn, turn.parts[1]) == "c\nd\ne\n")
    }

    /// A command runs for a part while the output of another one cannot be written.
    @Test func partsThatAreTakenBackDoNotTakeThePlaceOfTheOneThatRuns() {
        var turn = turn(["a", "b"])
        split(&turn)
        turn.deliver(0, child())
        turn.run(0)
        turn.takeBack()
        #expect(turn.parts.map(\.name) == ["1-1", "2-2"])
        #expect(turn.running == 1)
    }

    /// Output of a part waits, in order, while one before it may still be delivered.
    @Test func outputOfPartsKeepsTheirOrder() {
        var turn = turn(["a", "b"])
        split(&turn)
        turn.deliver(1, child())
        #expect(!turn.isReady(turn.delivered[0].part, inOrder: true))
        #expect(turn.isReady(turn.delivered[0].part, inOrder: false))
        turn.finishOutput(inOrder: true)
        #expect(turn.delivered.count == 1)
        turn.deliver(0, child())
        turn.finishOutput(inOrder: true)
        #expect(turn.delivered.isEmpty)
    }

    /// --results: the items that failed, whichever they are.
    @Test func itemsAreChosen() {
        let turn = turn(["a", "", "ccc", "dd", "e", "f"])
        let some = turn.parts[0].choose(from: turn.batch.lines) { [2, 3, 5, 6].contains($0) }
        #expect(some.map(\.name) == ["2-3,5-6"])
        #expect(text(turn, some[0]) == "\nccc\ne\nf\n")
        let fewer = some[0].choose(from: turn.batch.lines) { $0 == 1 || $0 == 3 }
        #expect(fewer.map(\.name) == ["2-2,5-5"])
        #expect(some[0].choose(from: turn.batch.lines) { _ in false }.isEmpty)
        let (first, second) = some[0].halves(of: turn.batch.lines)
        #expect([first.name, second.name] == ["2-3", "5-6"])
    }

    /// The name of a part must fit into a variable.
    @Test func manyItemsAreSeveralParts() {
        let turn = turn((0..<5000).map { "\($0)" })
        let odd = turn.parts[0].choose(from: turn.batch.lines) { $0 % 2 == 1 }
        #expect(odd.map(\.count) == [1000, 1000, 500])
        #expect(odd.allSatisfy { $0.name.utf8.count < 20_000 })
    }

    @Test func summaryIsNotSplit() {
        var summary = batch(["a", "b"])
        summary.lines = []
        summary.summary = Array("\"count\":2".utf8)
        #expect(!Turn(summary, Policy.Case(id: 1)).canBeSplit(0))
    }

    @Test func waitingIsFirstInFirstOut() {
        var waiting = Waiting()
        var seen: [Int] = []
        for seq in 1...10 {
            waiting.append(batch(["x"], seq: seq))
            if seq % 3 == 0, let next = waiting.next() { seen.append(next.seq) }
        }
        #expect(waiting.count == 7)
        while let next = waiting.next() { seen.append(next.seq) }
        #expect(seen == Array(1...10))
        #expect(waiting.count == 0)
    }
}
