import Testing

@testable import stream_batch

@Suite struct HashIndexTests {
    /// Against a dictionary, with hashes that collide.
    @Test func addAndRemove() {
        for seed in 1...20 as ClosedRange<UInt64> {
            var random = Random(seed)
            var hashes = (0..<40).map { UInt64($0) << 32 | random.next() % 24 }
            var known: [UInt64: Int] = [:]
            var index = HashIndex()
            for round in 0..<1000 {
                let place = Int.random(in: hashes.indices, using: &random)
                if known[hashes[place]] == nil {
                    index.add(place) { hashes[$0] }
                    known[hashes[place]] = place
                } else {
                    index.remove(place) { hashes[$0] }
                    known[hashes[place]] = nil
                    hashes[place] = UInt64(round + 100) << 32 | random.next() % 24
                }
                for hash in hashes {
                    check(index.find(hash) { hashes[$0] } == known[hash], "seed \(seed)")
                }
            }
        }
    }
}
