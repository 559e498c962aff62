import FuzzSupport

/// The decoder beside the reference, and beside itself with the stream cut elsewhere.
@main
enum FuzzSSE {
    static func main() {
        runFuzzer { start, size in
            var choices = Choices(start, size)
            let cuts = choices.cuts()
            let limit = choices.number(upTo: 120)
            let collectsComments = choices.flag()
            choices.limitVectors()
            FuzzSSE.test(choices.rest, cuts, smallLimit: limit, collectsComments)
            return 0
        }
    }

    private static func test(
        _ stream: [UInt8], _ cuts: Cuts, smallLimit: Int, _ collectsComments: Bool
    ) {
        let whole = decodeEvents(stream, collectsComments: collectsComments)
        expectEqual(
            whole, readEvents(stream, collectsComments: collectsComments),
            "decoder and reference", of: stream)
        for limit in [Int.max, smallLimit] {
            let whole = decodeEvents(
                stream, maxEvent: limit, collectsComments: collectsComments)
            for cuts in [cuts, .everywhere] {
                expectEqual(
                    whole,
                    decodeEvents(
                        stream, cuts: cuts, maxEvent: limit, collectsComments: collectsComments),
                    "whole and cut, at most \(limit) bytes", of: stream)
            }
        }
    }
}
