/// The parts of a URL as bytes: RFC 3986.
enum URLText {
    /// Where the colon behind a scheme is, or nil (section 3.1).
    static func schemeEnd(_ text: [UInt8]) -> Int? {
        guard let first = text.first, isLetter(first),
            let end = text.firstIndex(where: { !isSchemeCharacter($0) }),
            text[end] == UInt8(ascii: ":")
        else { return nil }
        return end
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte.lowercased) }

    private static func isSchemeCharacter(_ byte: UInt8) -> Bool {
        isLetter(byte) || byte.isDigit || "+-.".utf8.contains(byte)
    }

    /// unreserved (section 2.3).
    private static func isUnreserved(_ byte: UInt8) -> Bool {
        isLetter(byte) || byte.isDigit || "-._~".utf8.contains(byte)
    }

    // MARK: Percent-encoding

    /// Path and query with a percent-encoding for each byte that neither may have (sections 3.3
    /// and 3.4), and with the "/" that begins every path. A "%" without its two digits counts.
    static func target(_ text: some Collection<UInt8>) -> String {
        let text = [UInt8](text)
        var result: [UInt8] = text.first == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]
        for (index, byte) in text.enumerated() {
            let isEncoding = byte == UInt8(ascii: "%") && encoded(text[index...]) != nil
            if isEncoding || isUnreserved(byte) || "!$&'()*+,;=:@/?".utf8.contains(byte) {
                result.append(byte)
            } else {
                result += encoding(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// A text in which only unreserved characters are not percent-encoded.
    static func component(_ text: String) -> String {
        let bytes = text.utf8.flatMap { isUnreserved($0) ? [$0] : encoding($0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func encoding(_ byte: UInt8) -> [UInt8] {
        let digits = [UInt8]("0123456789ABCDEF".utf8)
        return [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }

    /// The byte that the "%" at the beginning and two digits stand for, or nil.
    private static func encoded(_ text: ArraySlice<UInt8>) -> UInt8? {
        guard text.count >= 3, let high = hex(text[text.startIndex + 1]),
            let low = hex(text[text.startIndex + 2])
        else { return nil }
        return high << 4 | low
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46, 0x61...0x66: byte.lowercased - 0x61 + 10
        default: nil
        }
    }

    /// Percent-decoded userinfo. Throws when it is not UTF-8 then or has control characters,
    /// which no Authorization may have (RFC 7617, section 2).
    static func decoded(_ text: ArraySlice<UInt8>) throws(URLError) -> String {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.first {
            if byte != UInt8(ascii: "%") {
                bytes.append(byte)
                rest = rest.dropFirst()
            } else if let decoded = encoded(rest) {
                bytes.append(decoded)
                rest = rest.dropFirst(3)
            } else {
                throw URLError("the URL's userinfo has a % that must be written %25")
            }
        }
        if bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            throw URLError("the URL's userinfo has a control character")
        }
        guard unsafe bytes.withUnsafeBufferPointer({ unsafe UTF8Text.isValid($0) }) else {
            throw URLError("the URL's userinfo is not UTF-8")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Addresses

    /// True for IPv6address (section 3.2.2), which stands between the brackets.
    static func isIPv6(_ text: ArraySlice<UInt8>) -> Bool {
        var groups = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard groups.count >= 3 else { return false }
        // "::" at an end leaves two empty groups there.
        if groups[0].isEmpty {
            guard groups[1].isEmpty else { return false }
            groups.removeFirst()
        }
        if groups[groups.count - 1].isEmpty {
            guard groups[groups.count - 2].isEmpty else { return false }
            groups.removeLast()
        }
        let gaps = groups.count { $0.isEmpty }
        var count = groups.count - gaps
        if let last = groups.last, last.contains(UInt8(ascii: ".")) {
            guard isIPv4(last) else { return false }
            groups.removeLast()
            count += 1
        }
        let areDigits = groups.allSatisfy { group in
            group.count <= 4 && group.allSatisfy { hex($0) != nil }
        }
        // "::" stands for at least one group of zeros.
        return areDigits && (gaps == 0 ? count == 8 : gaps == 1 && count <= 7)
    }

    /// True for IPv4address (section 3.2.2): four numbers without leading zeros.
    private static func isIPv4(_ text: ArraySlice<UInt8>) -> Bool {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                guard let number = part.decimal, number <= 255 else { return false }
                return part.count == 1 || part.first != UInt8(ascii: "0")
            }
    }
}

// MARK: References

extension ClientURL {
    /// Where a Location leads from here: RFC 3986, section 5.2. Its fragment is left out, because
    /// it is for who reads the answer (RFC 9110, section 10.2.2). Userinfo is kept where the
    /// reference names no host; whether the new place may see it, and whether a secure scheme
    /// may become an insecure one, is for the caller to say.
    package func resolving(_ location: String) throws(URLError) -> ClientURL {
        let reference = [UInt8](location.utf8).prefix { $0 != UInt8(ascii: "#") }
        if let colon = URLText.schemeEnd([UInt8](reference)) {
            var result = try ClientURL(scheme: reference[..<colon], reference[(colon + 1)...])
            result.removeDotSegments()
            return result
        }
        if reference.starts(with: "//".utf8) {
            var result = try ClientURL(scheme: ArraySlice(scheme.utf8), reference)
            result.removeDotSegments()
            return result
        }
        if reference.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            throw URLError("a control character in the URL")
        }
        var result = self
        guard let first = reference.first else { return result }
        let path = target.utf8.prefix { $0 != UInt8(ascii: "?") }
        if first == UInt8(ascii: "?") {
            result.target = URLText.target([UInt8](path) + reference)
            return result
        }
        // A relative path takes the place of what stands behind the last slash (5.2.3).
        let name = path.reversed().prefix { $0 != UInt8(ascii: "/") }
        let folder = first == UInt8(ascii: "/") ? [] : [UInt8](path.dropLast(name.count))
        result.target = URLText.target(folder + reference)
        result.removeDotSegments()
        return result
    }

    /// Section 5.2.4.
    private mutating func removeDotSegments() {
        let path = target.utf8.prefix { $0 != UInt8(ascii: "?") }
        let query = target.utf8[path.endIndex...]
        var kept: [Substring.UTF8View] = []
        let segments = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated().dropFirst() {
            let isUp = segment.elementsEqual("..".utf8)
            if !isUp && !segment.elementsEqual(".".utf8) {
                kept.append(segment)
                continue
            }
            if isUp { _ = kept.popLast() }
            // A dot segment at the end leaves the slash before it.
            if index == segments.count - 1 { kept.append(segment.prefix(0)) }
        }
        let joined = kept.map { "/" + String(decoding: $0, as: UTF8.self) }.joined()
        target = joined + String(decoding: query, as: UTF8.self)
    }
}
