import FuzzSupport
import StreamCodec

/// Arbitrary bytes, and streams of our own with a defect, inflated whole and in pieces.
@main
enum FuzzGzip {
    private static let limit = 1 << 20

    static func main() {
        runFuzzer { start, size in
            var choices = Choices(start, size)
            let cuts = choices.cuts()
            if choices.flag() {
                FuzzGzip.compare(choices.rest, cuts)
            } else {
                FuzzGzip.testOwn(&choices, cuts)
            }
            return 0
        }
    }

    /// What came out, and how it ended.
    private struct Inflated: Equatable, CustomStringConvertible {
        var bytes: [UInt8] = []
        var error: String?
        var sawGarbage = false

        var description: String {
            "\(shown(bytes)), \(error ?? "no error"), garbage: \(sawGarbage)"
        }
    }

    /// Text comes back from our own member, and a defect in it is the same defect in any pieces.
    private static func testOwn(_ choices: inout Choices, _ cuts: Cuts) {
        let level = 1 + choices.number(upTo: 8)
        let writes = choices.cuts()
        let isSynced = choices.flag()
        let (place, mask, cut) = (choices.number(upTo: 9999), choices.byte(), choices.byte())
        let text = choices.rest
        var stream = deflate(text, level: level, writes, isSynced: isSynced)
        expectEqual(
            inflate(stream, cuts), Inflated(bytes: text), "deflated and inflated", of: text)
        expectEqual(
            inflate(stream + stream + [0, 0], cuts), Inflated(bytes: text + text),
            "two members and padding", of: text)
        if isSynced { checkSyncs(text, level: level, writes) }

        stream[place % stream.count] ^= mask
        stream.removeLast(cut & 1 == 0 ? 0 : Int(cut) % stream.count)
        compare(stream, cuts)
    }

    private static func compare(_ stream: [UInt8], _ cuts: Cuts) {
        let whole = inflate(stream, .none)
        for cuts in [cuts, .everywhere] {
            expectEqual(whole, inflate(stream, cuts), "whole and cut", of: stream)
        }
    }

    private static func inflate(_ stream: [UInt8], _ cuts: Cuts) -> Inflated {
        var result = Inflated()
        var source = ByteQueue(capacity: 1)
        var target = ByteQueue(capacity: 1)
        do throws(GzipError) {
            var inflater = try GzipInflater()
            do throws(GzipError) {
                for read in cuts.reads(of: stream) {
                    source.append(Array(read))
                    while try inflater.inflate(&source, into: &target), target.count < limit {}
                }
                try inflater.finish(&source)
            } catch {
                result.error = error.description
            }
            result.sawGarbage = inflater.sawGarbage
        } catch {
            fatalError("\(error)")
        }
        result.bytes = Array(target.bytes.prefix(limit))
        return result
    }

    private static func deflate(
        _ text: [UInt8], level: Int, _ writes: Cuts, isSynced: Bool
    ) -> [UInt8] {
        var source = ByteQueue(capacity: 1)
        var target = ByteQueue(capacity: 1)
        do throws(GzipError) {
            var deflater = try GzipDeflater(level: level)
            for write in writes.reads(of: text) {
                source.append(Array(write))
                deflater.deflate(&source, into: &target, flush: isSynced ? .sync : .none)
            }
            deflater.deflate(&source, into: &target, flush: .finish)
        } catch {
            fatalError("\(error)")
        }
        return Array(target.bytes)
    }

    /// After each sync flush everything given so far can be inflated.
    private static func checkSyncs(_ text: [UInt8], level: Int, _ writes: Cuts) {
        var source = ByteQueue()
        var wire = ByteQueue()
        var target = ByteQueue()
        var given = 0
        do throws(GzipError) {
            var deflater = try GzipDeflater(level: level)
            var inflater = try GzipInflater()
            for write in writes.reads(of: text) {
                given += write.count
                source.append(Array(write))
                deflater.deflate(&source, into: &wire, flush: .sync)
                while try inflater.inflate(&wire, into: &target) {}
                expectEqual(target.count, given, "what a sync flush lets out", of: text)
            }
        } catch {
            fatalError("\(error)")
        }
    }
}
