import StreamCodec
import Testing

@Suite struct GzipTests {
    private static let lines = bytes(
        (1...40).map {
            "{\"event\":\"price\",\"id\":\"\($0)\",\"data\":\"\($0 * 7919 % 997) é\"}\n"
        }
        .joined())

    @Test(arguments: 1...9) func roundTrip(_ level: Int) throws {
        var random = SplitMix64("gzip \(level)")
        for size in [0, 1, 100, 65_535, 65_536, 300_000] {
            var plain: [UInt8] = []
            while plain.count < size {
                plain += random.chance(1, in: 2) ? Self.lines : [UInt8(random.number(0...255))]
            }
            plain = Array(plain.prefix(size))
            let member = try gzip(plain, level: level)
            check(gunzip([member]), Inflated(bytes: plain), "\(size) bytes")
            let cuts = random.cuts(member, count: 9)
            check(gunzip(cut(member, at: cuts)), Inflated(bytes: plain), "\(size) bytes")
        }
    }

    @Test func cutAtEachPosition() throws {
        let member = try gzip(Self.lines)
        for stream in [member, member + member, member + [0, 0, 0], member + bytes("rubbish")] {
            let whole = gunzip([stream])
            check(whole.error, nil)
            for offset in 0...stream.count {
                check(gunzip(cut(stream, at: [offset])), whole, "cut at \(offset)")
            }
            check(gunzip(byteByByte(stream)), whole, "by bytes")
        }
    }

    /// What decodes comes out, and then the end is missed, but where a member ended.
    @Test func truncatedAtEachByte() throws {
        let first = try gzip(Self.lines)
        let stream = first + (try gzip(bytes("second"), level: 9))
        let plain = gunzip([stream]).bytes
        #expect(plain == Self.lines + bytes("second"))
        for count in 0..<stream.count {
            for chunks in [[Array(stream[..<count])], byteByByte(Array(stream[..<count]))] {
                let result = gunzip(chunks)
                check(result.bytes, Array(plain.prefix(result.bytes.count)), "\(count) bytes")
                // One byte of the magic number is not yet a member.
                let isWhole = count == first.count || count == first.count + 1
                check(result.error, isWhole ? nil : .truncated, "\(count) bytes")
                check(result.sawGarbage, count == first.count + 1, "\(count) bytes")
                if count >= first.count { check(result.bytes.count >= Self.lines.count, true) }
            }
        }
    }

    /// Each bit of the trailer, and what comes before is written all the same.
    @Test func checksumAndLength() throws {
        let member = try gzip(Self.lines)
        for offset in (member.count - 8)..<member.count {
            for bit in 0..<8 {
                var wrong = member
                wrong[offset] ^= 1 << UInt8(bit)
                for chunks in [[wrong], byteByByte(wrong)] {
                    let result = gunzip(chunks)
                    check(result.bytes, Self.lines, "bit \(bit) at \(offset)")
                    guard case .corrupt = result.error else {
                        check(true, false, "bit \(bit) at \(offset) passed")
                        continue
                    }
                }
            }
        }
    }

    /// A bit anywhere else: never a crash, and never silently another text.
    @Test func flippedBits() throws {
        let member = try gzip(Self.lines)
        for offset in 0..<member.count {
            var wrong = member
            wrong[offset] ^= 1 << UInt8(offset % 8)
            let result = gunzip([wrong])
            if result.error == nil { check(result.bytes, Self.lines, "bit at \(offset)") }
        }
    }

    @Test func randomBytes() {
        var random = SplitMix64("randomBytes")
        for _ in 0..<500 {
            let body = (0..<random.number(0...300)).map { _ in UInt8(random.number(0...255)) }
            check(gunzip([[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3] + body]).error != nil, true)
        }
    }

    @Test(
        arguments: [
            ([], nil), ([0x1F], nil), ([0x1F, 0x8B], true), ([0x1F, 0x8B, 8], true),
            ([0x1F, 0x8C], false), ([0x7B], false), ([0x1E, 0x8B], false),
            ([0x0A, 0x1F, 0x8B], false),
        ] as [([UInt8], Bool?)])
    func magic(_ start: [UInt8], _ isGzip: Bool?) {
        #expect(start.withUnsafeBufferPointer { GzipInflater.isGzip($0) } == isGzip)
    }

    // MARK: Flushing

    /// After each sync flush everything given can be inflated.
    @Test(arguments: [1, 6, 9]) func syncFlush(_ level: Int) throws {
        var deflater = try GzipDeflater(level: level)
        var inflater = try GzipInflater()
        var source = ByteQueue()
        var wire = ByteQueue()
        var target = ByteQueue()
        var given: [UInt8] = []
        for size in [1, 0, 0, 80, 3, 200_000, 0, 1] {
            let plain = Array(repeatElement(Self.lines, count: 80).joined().prefix(size))
            given += plain
            source.append(plain)
            deflater.deflate(&source, into: &wire, flush: .sync)
            while try inflater.inflate(&wire, into: &target) {}
            check(target.count, given.count, "after \(size) bytes")
        }
        source.append("end")
        deflater.deflate(&source, into: &wire, flush: .finish)
        while try inflater.inflate(&wire, into: &target) {}
        try inflater.finish(&wire)
        #expect(Array(target.bytes) == given + bytes("end"))
    }

    @Test func unflushedBytesComeWithTheEnd() throws {
        var deflater = try GzipDeflater(level: 6)
        var source = ByteQueue()
        var wire = ByteQueue()
        for line in cut(Self.lines, at: [1, 100, 101, 900]) {
            source.append(line)
            deflater.deflate(&source, into: &wire, flush: .none)
        }
        deflater.deflate(&source, into: &wire, flush: .finish)
        check(gunzip([Array(wire.bytes)]), Inflated(bytes: Self.lines))
    }

    // MARK: Bombs

    @Test func ratio() throws {
        let zeros = [UInt8](repeating: 0, count: 80 << 20)
        let bomb = try gzip(zeros, level: 9)
        #expect(inflatedSize(bomb, maxRatio: 250) == (.ratio(limit: 250), true))
        #expect(inflatedSize(bomb, maxRatio: 2000) == (nil, false))
        // Split into members it is the same bomb.
        let small = try gzip([UInt8](repeating: 0, count: 1 << 20), level: 9)
        let members = Array(repeatElement(small, count: 80).joined())
        #expect(inflatedSize(members, maxRatio: 250) == (.ratio(limit: 250), true))
        // What is small is never suspicious.
        #expect(gunzip([small], maxRatio: 1).error == nil)
    }

    /// The error, and whether less than the whole 80 MiB was produced before.
    private func inflatedSize(_ stream: [UInt8], maxRatio: Int) -> (GzipError?, Bool) {
        var produced = 0
        do throws(GzipError) {
            var inflater = try GzipInflater(maxRatio: maxRatio)
            var source = ByteQueue()
            var target = ByteQueue()
            source.append(stream)
            while try inflater.inflate(&source, into: &target) {
                produced += target.count
                target.removeAll()
            }
            try inflater.finish(&source)
            return (nil, produced < 80 << 20)
        } catch {
            return (error, produced < 80 << 20)
        }
    }
}

@Suite struct GzipMemberTests {
    @Test func concatenatedAndEmptyMembers() throws {
        let empty = try gzip([])
        let first = try gzip(bytes("{\"a\":1}\n{\"b\""))
        let second = try gzip(bytes(":2}\n"))
        for (stream, plain) in [
            (empty, ""), (empty + empty, ""), (first + second, "{\"a\":1}\n{\"b\":2}\n"),
            (empty + first + empty + empty + second + empty, "{\"a\":1}\n{\"b\":2}\n"),
        ] {
            let expected = Inflated(bytes: bytes(plain))
            check(gunzip([stream]), expected)
            check(gunzip(byteByByte(stream)), expected)
        }
    }

    /// A member that ends in mid-line: the next one goes on with the line.
    @Test func membersEndAnywhere() throws {
        let plain = bytes("{\"data\":\"ä€😀\"}\n{\"data\":2}\n")
        for offset in 0...plain.count {
            let parts = cut(plain, at: [offset])
            let stream = try gzip(parts[0]) + gzip(parts[1], level: 1)
            check(gunzip([stream]), Inflated(bytes: plain), "member ends at \(offset)")
        }
    }

    @Test func headers() {
        let extra = [UInt8](repeating: 0x1F, count: 700)
        for flags in 0..<32 {
            var member = GzipMember(plain: bytes("plain\n"))
            member.isText = flags & 1 != 0
            member.hasHeaderChecksum = flags & 2 != 0
            member.extra = flags & 4 != 0 ? extra : nil
            member.name = flags & 8 != 0 ? bytes("a name.jsonl") : nil
            member.comment = flags & 16 != 0 ? bytes("a comment") : nil
            let stream = member.bytes
            let expected = Inflated(bytes: bytes("plain\n"))
            check(gunzip([stream]), expected, "flags \(flags)")
            check(gunzip(byteByByte(stream)), expected, "flags \(flags)")
            check(gunzip([stream + stream]).bytes, bytes("plain\nplain\n"), "flags \(flags)")
            for count in 1..<stream.count {
                check(gunzip([Array(stream[..<count])]).error, .truncated, "\(flags), \(count)")
            }
        }
    }

    @Test func emptyHeaderFields() {
        let member = GzipMember(plain: [], extra: [], name: [], comment: [])
        check(gunzip([member.bytes]), Inflated())
    }

    @Test func wrongHeaders() {
        let plain = bytes("plain\n")
        var members = [
            GzipMember(plain: plain, hasHeaderChecksum: true, headerChecksumError: 1).bytes,
            GzipMember(plain: plain, checksumError: 1).bytes,
            GzipMember(plain: plain, lengthError: 1).bytes,
            GzipMember(plain: plain, lengthError: 1 << 31).bytes,
        ]
        var method = GzipMember(plain: plain).bytes
        method[2] = 7
        var reserved = GzipMember(plain: plain).bytes
        reserved[3] = 0x20
        members += [method, reserved]
        for (index, member) in members.enumerated() {
            for stream in [member, GzipMember(plain: bytes("first")).bytes + member] {
                for chunks in [[stream], byteByByte(stream)] {
                    let result = gunzip(chunks)
                    guard case .corrupt = result.error else {
                        check(true, false, "case \(index): \(result)")
                        continue
                    }
                    check(result.error?.description.contains("corrupt"), true)
                    if stream.count > member.count {
                        check(Array(result.bytes.prefix(5)), bytes("first"))
                    }
                }
            }
        }
    }

    @Test func paddingAndGarbage() throws {
        let member = try gzip(bytes("a\n"))
        let zeros = [UInt8](repeating: 0, count: 2000)
        for (tail, sawGarbage) in [
            ([0], false), (zeros, false), ([0x0A], true), (zeros + [1], true), ([0x1F], true),
            ([0x1F, 0x00], true), ([0x1F, 0x1F, 0x8B], true), (bytes("trailing garbage"), true),
            (zeros + bytes("x") + member, true),
        ] as [([UInt8], Bool)] {
            let expected = Inflated(bytes: bytes("a\n"), sawGarbage: sawGarbage)
            check(gunzip([member + tail]), expected, escaped(tail))
            check(gunzip(byteByByte(member + tail)), expected, escaped(tail))
            check(gunzip([member, tail]), expected, escaped(tail))
        }
    }

    /// An empty file is no member; whoever wants it to be nothing does not call it gzip.
    @Test func emptyFile() {
        check(gunzip([]).error, .truncated)
        check(gunzip([[]]).error, .truncated)
    }
}
