import FuzzSupport
import StreamCodec

/// The two readers of JSON that is not on lines beside the reference, and beside themselves with
/// the input cut elsewhere.
@main
enum FuzzJSONStream {
    static func main() {
        runFuzzer { start, size in
            var choices = Choices(start, size)
            let cuts = choices.cuts()
            let maxValue = choices.number(upTo: 120)
            let maxDepth = choices.flag() ? 1 + choices.number(upTo: 5) : JSON.defaultMaxDepth
            let isSequence = choices.flag()
            choices.limitVectors()
            FuzzJSONStream.test(choices.rest, cuts, maxValue, maxDepth, isSequence: isSequence)
            return 0
        }
    }

    private static func test(
        _ input: [UInt8], _ cuts: Cuts, _ smallMaxValue: Int, _ maxDepth: Int, isSequence: Bool
    ) {
        for maxValue in [Int.max, smallMaxValue] {
            func read(_ cuts: Cuts) -> [Found] {
                if isSequence {
                    var reader = JSONSequenceReader(maxValue: maxValue, maxDepth: maxDepth)
                    return readAll(input, cuts, maxValue) {
                        (reader.next(&$0, atEnd: $1), reader.line)
                    }
                }
                var reader = JSONStreamReader(maxValue: maxValue, maxDepth: maxDepth)
                return readAll(input, cuts, maxValue) { (reader.next(&$0, atEnd: $1), reader.line) }
            }
            let whole = read(.none)
            for cuts in [cuts, .everywhere] {
                expectEqual(
                    whole, read(cuts), "whole and cut, at most \(maxValue) bytes", of: input)
            }
            if maxValue < Int.max { continue }
            if isSequence {
                expectEqual(
                    whole.map(\.withoutError), referenceTexts(input, maxDepth: maxDepth),
                    "reader and reference", of: input)
            } else {
                compare(whole, referenceValues(input, maxDepth: maxDepth), input)
            }
        }
    }

    /// The reference gives up where the input is wrong.
    private static func compare(
        _ found: [Found], _ reference: (values: [Found], isRight: Bool), _ input: [UInt8]
    ) {
        let count = reference.values.count
        expectEqual(
            Array(found.prefix(count)), reference.values, "reader and reference", of: input)
        if reference.isRight {
            expectEqual(found.count, count, "how many values", of: input)
        } else {
            expectEqual(
                found.dropFirst(count).first?.kind, .invalid, "what is wrong is found", of: input)
        }
    }

    /// What a reader says of input that arrives in these reads.
    private static func readAll(
        _ input: [UInt8], _ cuts: Cuts, _ maxValue: Int,
        next: (inout ByteQueue, Bool) -> (JSONStreamReader.Result, Int)
    ) -> [Found] {
        var queue = ByteQueue(capacity: 1)
        var found: [Found] = []
        let reads = cuts.reads(of: input).map { Array($0) } + [[]]
        for (index, read) in reads.enumerated() {
            queue.append(read)
            reading: while true {
                let (result, line) = next(&queue, index == reads.count - 1)
                switch result {
                case .value(let range):
                    found.append(Found(.value, Array(queue.bytes(range)), line))
                case .invalid(let range, let error):
                    let text = Array(queue.bytes(range))
                    expectEqual(
                        (0...text.count).contains(error.offset), true, "the offset", of: input)
                    found.append(Found(.invalid, text, line, error.description))
                case .tooLong(let range):
                    expectEqual(range, 0..<maxValue, "the begin of a long value", of: input)
                    found.append(Found(.tooLong, Array(queue.bytes(range)), line))
                case .more: break reading
                }
                // A byte can be wrong twice, as what comes too early and as what it is.
                expectEqual(found.count <= 2 * input.count + 2, true, "progress", of: input)
            }
            let isFew = maxValue == .max || queue.count <= maxValue + 1 + read.count
            expectEqual(isFew, true, "\(queue.count) bytes wait", of: input)
        }
        expectEqual(queue.count, 0, "left over", of: input)
        return found
    }
}
