import FuzzSupport
import StreamCodec

/// The first line as a pattern, and the other lines and the whole input as names.
func testPatterns(_ input: [UInt8]) {
    let lines = input.split(separator: 0x0A, omittingEmptySubsequences: false).prefix(20)
    let first = pattern(String(decoding: lines[0], as: UTF8.self))
    for name in lines + [input[...]] {
        let name = Array(name)
        let isName = withExactCopy(name) { ChannelPattern.isName($0) }
        let text = String(validating: name, as: UTF8.self)
        let isExact = text.flatMap(pattern(_:))?.isExact ?? false
        expectEqual(isName, isExact, "a name is a pattern without wildcards", of: input)
        if let first { testMatch(first, name, input) }
    }
}

private func pattern(_ text: String) -> ChannelPattern? {
    do throws(ChannelPattern.ParseError) {
        return try ChannelPattern(text)
    } catch {
        return nil
    }
}

private func testMatch(_ pattern: ChannelPattern, _ name: [UInt8], _ input: [UInt8]) {
    let dot = UInt8(ascii: ".")
    let levels = pattern.description.utf8.split(separator: dot).map { Array($0) }
    let nameLevels =
        name.isEmpty
        ? []
        : name.split(
            separator: dot, omittingEmptySubsequences: false)
    var steps = 0
    let found = withExactCopy(name) { bytes in
        let found = pattern.matches(bytes)
        expectEqual(pattern.matches(bytes, steps: &steps), found, "both ways", of: input)
        return found
    }
    let limit = (nameLevels.count + 1) * (levels.count + 1)
    expectEqual(steps <= limit, true, "\(steps) steps, at most \(limit)", of: input)

    // Which prefixes of the name the pattern's levels so far match.
    var reached = [true] + nameLevels.map { _ in false }
    for level in levels {
        var next = reached.map { _ in false }
        for count in 0...nameLevels.count {
            if level == Array("**".utf8) {
                next[count] = reached[count] || count > 0 && next[count - 1]
            } else if count > 0 {
                let isSame = level == Array("*".utf8) || level == Array(nameLevels[count - 1])
                next[count] = reached[count - 1] && isSame
            }
        }
        reached = next
    }
    expectEqual(found, reached[nameLevels.count], "\(pattern)", of: input)
}
