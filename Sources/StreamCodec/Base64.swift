/// Base 64 encoding with padding: RFC 4648, section 4.
package enum Base64 {
    private static let alphabet = [UInt8](
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// The value of each digit, or 255.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, digit) in alphabet.enumerated() { values[Int(digit)] = UInt8(value) }
        return values
    }()

    /// The bytes as base64.
    package static func encode(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var offset = 0
        while offset < bytes.count {
            let size = min(3, bytes.count - offset)
            var group = unsafe UInt32(bytes[offset]) << 16
            if size > 1 { unsafe group |= UInt32(bytes[offset + 1]) << 8 }
            if size > 2 { unsafe group |= UInt32(bytes[offset + 2]) }
            for digit in 0..<4 {
                let value = Int(group >> (18 - 6 * UInt32(digit)) & 63)
                text.append(digit <= size ? alphabet[value] : UInt8(ascii: "="))
            }
            offset += 3
        }
        return text
    }

    /// The bytes that the text stands for, or nil when it is not base64 with its padding, or
    /// has bits set that no byte takes up (RFC 4648, section 3.5).
    package static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        var digits = text.count
        for _ in 0..<2 {
            if unsafe digits > 0 && text[digits - 1] == UInt8(ascii: "=") { digits -= 1 }
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits * 3 / 4)
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for index in 0..<digits {
            let value = unsafe values[Int(text[index])]
            guard value < 64 else { return nil }
            bits = bits << 6 | UInt32(value)
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
                bits &= (1 << bitCount) - 1
            }
        }
        return bits == 0 ? bytes : nil
    }
}
