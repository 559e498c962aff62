import StreamCodec
import Testing

@Suite struct Base64Tests {
    private func decode(_ text: String) -> [UInt8]? {
        bytes(text).withUnsafeBufferPointer { Base64.decode($0) }
    }

    private func encode(_ bytes: [UInt8]) -> String {
        text(bytes.withUnsafeBufferPointer { Base64.encode($0) })
    }

    /// RFC 4648, section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func vectors(_ plain: String, _ coded: String) {
        #expect(encode(bytes(plain)) == coded)
        #expect(decode(coded) == bytes(plain))
    }

    @Test func wholeAlphabet() {
        let coded = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        let plain = decode(coded)
        #expect(plain?.count == 48)
        #expect(encode(plain ?? []) == coded)
    }

    @Test func roundTrips() {
        var random = SplitMix64("base64")
        for length in 0...300 {
            let plain = (0..<length).map { _ in UInt8(random.number(0...255)) }
            let coded = encode(plain)
            check(coded.utf8.count, (length + 2) / 3 * 4)
            check(decode(coded), plain, coded)
        }
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zm9", "Zg===", "=", "==", "===", "====", "Z===", "=Zg=", "Zg==Zg==",
        "Zg=g", "Zm9v=", "Zm9v====", "Zm9\n", "Zm 9", "Zm9-", "Zm9_", "Zm9\0", "Zé=", "Zg==\n",
        // Bits that no byte takes up.
        "Zh==", "Zv==", "Zm9=", "Zm+=", "//==", "///=",
    ])
    func refused(_ coded: String) {
        #expect(decode(coded) == nil)
    }

    @Test func bytesOutsideTheAlphabet() {
        let alphabet = Set(
            bytes("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
        for byte in UInt8.min...UInt8.max {
            for place in 0..<4 {
                var coded = bytes("AAAA")
                coded[place] = byte
                let isGood = alphabet.contains(byte) || (byte == UInt8(ascii: "=") && place == 3)
                check(
                    coded.withUnsafeBufferPointer { Base64.decode($0) } != nil, isGood,
                    escaped(coded))
            }
        }
    }
}
