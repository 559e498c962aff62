import StreamCodec
import Testing

/// What came of a gzip stream.
struct Inflated: Equatable {
    var bytes: [UInt8] = []
    var error: GzipError?
    var sawGarbage = false
}

/// The stream inflated as it arrives in these chunks.
func gunzip(_ chunks: [[UInt8]], maxRatio: Int = GzipInflater.defaultMaxRatio) -> Inflated {
    var result = Inflated()
    do throws(GzipError) {
        var inflater = try GzipInflater(maxRatio: maxRatio)
        var source = ByteQueue()
        var target = ByteQueue()
        do throws(GzipError) {
            for chunk in chunks {
                source.append(chunk)
                while try inflater.inflate(&source, into: &target) {}
            }
            try inflater.finish(&source)
        } catch {
            result.error = error
        }
        result.bytes = Array(target.bytes)
        result.sawGarbage = inflater.sawGarbage
    } catch {
        result.error = error
    }
    return result
}

/// One member.
func gzip(_ plain: [UInt8], level: Int = 6) throws(GzipError) -> [UInt8] {
    var deflater = try GzipDeflater(level: level)
    var source = ByteQueue()
    var target = ByteQueue()
    source.append(plain)
    deflater.deflate(&source, into: &target, flush: .finish)
    check(source.count, 0, "left over")
    return Array(target.bytes)
}

/// RFC 1952, section 8, bit by bit.
func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc: UInt32 = 0xFFFF_FFFF
    for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return ~crc
}

/// A member built by hand: RFC 1952, section 2.3. The data is stored, not compressed.
struct GzipMember {
    var plain: [UInt8]
    var isText = false
    var extra: [UInt8]?
    var name: [UInt8]?
    var comment: [UInt8]?
    var hasHeaderChecksum = false
    /// Added to the values that are right.
    var headerChecksumError: UInt16 = 0
    var checksumError: UInt32 = 0
    var lengthError: UInt32 = 0

    var bytes: [UInt8] {
        var flags: UInt8 = isText ? 1 : 0
        if hasHeaderChecksum { flags |= 2 }
        if extra != nil { flags |= 4 }
        if name != nil { flags |= 8 }
        if comment != nil { flags |= 16 }
        var member: [UInt8] = [0x1F, 0x8B, 8, flags, 1, 2, 3, 4, 0, 3]
        if let extra { member += little(UInt16(extra.count)) + extra }
        if let name { member += name + [0] }
        if let comment { member += comment + [0] }
        if hasHeaderChecksum {
            member += little(UInt16(truncatingIfNeeded: crc32(member)) &+ headerChecksumError)
        }
        let size = UInt16(plain.count)
        member += [1] + little(size) + little(~size) + plain
        return member + little(crc32(plain) &+ checksumError)
            + little(UInt32(plain.count) &+ lengthError)
    }

    private func little<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }
}
