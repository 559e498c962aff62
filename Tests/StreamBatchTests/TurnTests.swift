import CLinux
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

    @Test func splitsIntoHalvesUntilLinesStandAlone() {
        var turn = Turn(batch(["a", "", "ccc", "dd", "e"]))
        var seen: [String] = []
        while let part = turn.parts.last {
            if turn.canBeSplit {
                turn.split()
            } else {
                seen.append("\(part.name)=\(text(turn, part))")
                turn.finishPart()
            }
        }
        #expect(seen == ["1-1=a\n", "2-2=\n", "3-3=ccc\n", "4-4=dd\n", "5-5=e\n"])
        #expect(turn.isDelivered)
    }

    @Test func firstHalfComesFirst() {
        var turn = Turn(batch(["a", "b", "c", "d", "e"]))
        #expect(turn.parts.map(\.name) == ["1-5"])
        turn.split()
        #expect(turn.parts.map(\.name) == ["3-5", "1-2"])
        #expect(turn.content(of: turn.parts[0]).count == 3)
        #expect(text(turn, turn.parts[0]) == "c\nd\ne\n")
    }

    @Test func partHasItsOwnAttempts() {
        var turn = Turn(batch(["a", "b"]))
        turn.start(isProbe: false)
        turn.start(isProbe: true)
        #expect(turn.attempts == 2)
        #expect(turn.countedAttempts == 1)
        turn.split()
        #expect(turn.attempts == 0)
        turn.start(isProbe: false)
        #expect(turn.countedAttempts == 1)
    }

    /// A command runs for the last part while the output of the one before cannot be written.
    @Test func partsThatAreTakenBackDoNotTakeThePlaceOfTheOneThatRuns() {
        var turn = Turn(batch(["a", "b"]))
        turn.split()
        let child = { Child(clinux_child(process: 0, output: -1, errors: -1), deadline: nil) }
        turn.finishPart(child())
        turn.takeBack()
        #expect(turn.parts.map(\.name) == ["1-1", "2-2"])
        turn.finishPart(child())
        turn.takeBack()
        #expect(turn.parts.map(\.name) == ["2-2", "1-1"])
    }

    @Test func summaryIsNotSplit() {
        var summary = batch(["a", "b"])
        summary.lines = []
        summary.summary = Array("\"count\":2".utf8)
        #expect(!Turn(summary).canBeSplit)
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
