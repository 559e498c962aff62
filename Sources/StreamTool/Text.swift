/// String functions of the standard library's string processing module, which is more than a
/// megabyte of every tool and longer to start: the package is built without it.
extension StringProtocol {
    /// The text with each occurrence of `old`, which is not empty, replaced.
    func replacing(_ old: String, with new: String) -> String {
        let old = Array(old.utf8)
        var result: [UInt8] = []
        var rest = Array(utf8)[...]
        while !rest.isEmpty {
            if rest.starts(with: old) {
                result += new.utf8
                rest = rest.dropFirst(old.count)
            } else {
                result.append(rest.removeFirst())
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// True when the other text, which is not empty, is part of it.
    package func holds(_ other: String) -> Bool {
        let bytes = Array(utf8)
        let part = Array(other.utf8)
        guard part.count <= bytes.count else { return false }
        return (0...(bytes.count - part.count)).contains { bytes[$0...].starts(with: part) }
    }
}
