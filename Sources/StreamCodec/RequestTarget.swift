/// The target of a request, taken apart: its path and its query. RFC 9112, section 3.2; the query
/// as application/x-www-form-urlencoded (WHATWG URL, section 5.1).
package struct RequestTarget: Sendable {
    package static let maxParameters = 100

    /// Percent-decoded; begins with "/". Dot segments are as they were.
    package let path: String
    /// In the order received, decoded: "+" is a space, and a name without "=" has "".
    package let parameters: [(name: String, value: String)]

    /// The parts of a target in origin-form or absolute-form. Throws for what no target may have
    /// (a fragment, a "%" without two digits), and for what is no text when it is decoded: control
    /// characters and bytes that are not UTF-8.
    package init(_ target: String) throws(URLError) {
        if target.unicodeScalars.contains("\u{FFFD}") {
            // A head has it in the place of what was not UTF-8; who means it can encode it.
            throw URLError("the target is not UTF-8")
        }
        let text = [UInt8](target.utf8)
        if text.contains(UInt8(ascii: "#")) { throw URLError("a fragment in the target") }
        let local = try Self.withoutAuthority(text)
        let end = local.firstIndex(of: UInt8(ascii: "?")) ?? local.endIndex
        path = try Self.path(local[..<end])
        parameters = try Self.parameters(local[end...].dropFirst())
    }

    /// The value of the first parameter of that name, or nil.
    package func first(_ name: String) -> String? {
        parameters.first { $0.name == name }?.value
    }

    /// The values of all parameters of that name.
    package func values(_ name: String) -> [String] {
        parameters.filter { $0.name == name }.map(\.value)
    }

    package func has(_ name: String) -> Bool {
        parameters.contains { $0.name == name }
    }

    // MARK: Parts

    /// Path and query. An absolute-form (section 3.2.2) is for http or https and names a host, and
    /// nobody, because userinfo there only deceives (RFC 9110, section 4.2.4).
    private static func withoutAuthority(_ text: [UInt8]) throws(URLError) -> ArraySlice<UInt8> {
        guard let colon = URLText.schemeEnd(text) else { return text[...] }
        let scheme = String(decoding: text[..<colon].map(\.lowercased), as: UTF8.self)
        let rest = text[(colon + 1)...]
        guard scheme == "http" || scheme == "https", rest.starts(with: "//".utf8) else {
            throw noPath
        }
        let behind = rest.dropFirst(2)
        let end = behind.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
        let authority = behind[..<(end ?? behind.endIndex)]
        if authority.isEmpty || authority.first == UInt8(ascii: ":") {
            throw URLError("the target names no host")
        }
        if authority.contains(UInt8(ascii: "@")) { throw URLError("userinfo in the target") }
        let local = behind[authority.endIndex...]
        if local.first == UInt8(ascii: "/") { return local }
        return [UInt8(ascii: "/")] + local
    }

    private static var noPath: URLError { URLError("the target does not begin with /") }

    private static func path(_ text: ArraySlice<UInt8>) throws(URLError) -> String {
        guard text.first == UInt8(ascii: "/") else { throw noPath }
        let bytes = try decoded(text, plusIsSpace: false)
        // Once decoded it would part what it did not (RFC 3986, section 2.2), so that a proxy that
        // guards a path would see another one than we.
        let slash = UInt8(ascii: "/")
        if bytes.count(where: { $0 == slash }) > text.count(where: { $0 == slash }) {
            throw URLError("an encoded / in the path")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func parameters(
        _ query: ArraySlice<UInt8>
    ) throws(URLError) -> [(name: String, value: String)] {
        var parameters: [(name: String, value: String)] = []
        for part in query.split(separator: UInt8(ascii: "&")) {
            if parameters.count == maxParameters {
                throw URLError("more than \(maxParameters) parameters in the query")
            }
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let name = try decoded(part[..<equals], plusIsSpace: true)
            let value = try decoded(part[equals...].dropFirst(), plusIsSpace: true)
            parameters.append(
                (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
        }
        return parameters
    }

    /// UTF-8 without control characters.
    private static func decoded(
        _ text: ArraySlice<UInt8>, plusIsSpace: Bool
    ) throws(URLError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            var byte = text[index]
            index += 1
            if byte == UInt8(ascii: "%") {
                guard text.endIndex - index >= 2, let high = hexValue(text[index]),
                    let low = hexValue(text[index + 1])
                else { throw URLError("a % without two hexadecimal digits in the target") }
                byte = high << 4 | low
                index += 2
            } else if byte == UInt8(ascii: "+") && plusIsSpace {
                byte = UInt8(ascii: " ")
            }
            if byte < 0x20 || byte == 0x7F {
                throw URLError("a control character in the target")
            }
            bytes.append(byte)
        }
        guard unsafe bytes.withUnsafeBufferPointer({ unsafe UTF8Text.isValid($0) }) else {
            throw URLError("the target is not UTF-8")
        }
        return bytes
    }
}
