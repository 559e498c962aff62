/// A hash with secrets of its own for each instance: whoever chooses the keys of a table cannot
/// choose them so that they collide. Each word is mixed in by a product of 128 bits, folded, with
/// a secret factor; what goes in is hidden by what came out before.
package struct KeyHash {
    private let start = UInt64.random(in: .min ... .max)
    private let factor = UInt64.random(in: .min ... .max) | 1
    private let end = UInt64.random(in: .min ... .max)

    package init() {}

    @inline(__always)
    package func hash(_ key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        guard let address = key.baseAddress, key.count > 0 else { return start }
        let text = unsafe UnsafeRawPointer(address)
        let count = key.count
        var hash = start
        var offset = 0
        while offset + 8 < count {
            hash = unsafe fold(hash ^ text.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        // The last word overlaps the one before it, or is made of two that overlap.
        let last: UInt64
        if count >= 8 {
            last = unsafe text.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        } else if count >= 4 {
            last =
                unsafe UInt64(text.loadUnaligned(as: UInt32.self))
                | UInt64(text.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)) << 32
        } else {
            last =
                unsafe UInt64(address[0]) | UInt64(address[count / 2]) << 8
                | UInt64(address[count - 1]) << 16
        }
        // The length tells keys apart whose words are alike.
        return fold(fold(hash ^ last) ^ end &+ UInt64(count))
    }

    @inline(__always)
    private func fold(_ word: UInt64) -> UInt64 {
        let product = word.multipliedFullWidth(by: factor)
        return product.high ^ product.low
    }
}
