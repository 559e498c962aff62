import StreamCodec
import Testing

@Suite struct SHA1Tests {
    private func hash(_ bytes: [UInt8]) -> String {
        SHA1.hash(bytes).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    /// The examples of FIPS 180, and the empty message.
    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        ),
        (
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "a49b2446a02c645bf419f995b67091253a04a259"
        ),
    ])
    func vectors(_ message: String, _ expected: String) {
        #expect(hash(bytes(message)) == expected)
    }

    @Test func longMessage() {
        let message = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(hash(message) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
    }

    /// Padding around the ends of blocks: one hash over the hashes of all lengths.
    @Test func everyLength() {
        let all = (0...300).flatMap { SHA1.hash([UInt8](repeating: UInt8($0 & 255), count: $0)) }
        #expect(hash(all) == "52e20d60188c4175089ce54a6dc1e101bdedc93c")
    }
}
