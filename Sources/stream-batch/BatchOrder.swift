/// The open batches of each key in the order of their ends: a treap for each key (Seidel and
/// Aragon 1996), so that lines may come in any order. Its nodes are known by the batches' slots.
struct BatchOrder {
    private struct Node {
        var end: UInt64 = 0
        /// Random. A node's is the highest of those below it.
        var priority: UInt64 = 0
        /// The ones that end before and after it, of those below it.
        var left = OpenBatch.none
        var right = OpenBatch.none
        /// The one that ends next after it, of all of its key.
        var later = OpenBatch.none
        var earlier = OpenBatch.none
    }

    private var nodes: [Node] = []
    /// By the key's index.
    private var roots: [Int] = []
    /// Marsaglia's xorshift. Seeded at random, so that no input can be made to fit the priorities.
    private var random = UInt64.random(in: 1...UInt64.max)

    /// A batch of the key; the one, where there is no more than one.
    @inline(__always)
    func any(of key: Int) -> Int { key < roots.count ? roots[key] : OpenBatch.none }

    /// The next batch of the same key.
    func later(than slot: Int) -> Int { nodes[slot].later }

    /// The first batch of the key that ends then or later.
    func first(of key: Int, endingAt end: UInt64) -> Int {
        var found = OpenBatch.none
        var slot = any(of: key)
        while slot != OpenBatch.none {
            if nodes[slot].end >= end {
                found = slot
                slot = nodes[slot].left
            } else {
                slot = nodes[slot].right
            }
        }
        return found
    }

    mutating func insert(_ slot: Int, of key: Int, end: UInt64) {
        while roots.count <= key { roots.append(OpenBatch.none) }
        while nodes.count <= slot { nodes.append(Node()) }
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        nodes[slot] = Node(end: end, priority: random)
        link(slot, roots[key])
        let (before, after) = split(roots[key], by: slot)
        roots[key] = join(join(before, slot), after)
    }

    mutating func remove(_ slot: Int, of key: Int) {
        let (earlier, later) = (nodes[slot].earlier, nodes[slot].later)
        if earlier != OpenBatch.none { nodes[earlier].later = later }
        if later != OpenBatch.none { nodes[later].earlier = earlier }
        let rest = join(nodes[slot].left, nodes[slot].right)
        if roots[key] == slot {
            roots[key] = rest
            return
        }
        var parent = roots[key]
        while true {
            let isAfter = isBefore(parent, slot)
            let next = isAfter ? nodes[parent].right : nodes[parent].left
            if next == slot {
                if isAfter { nodes[parent].right = rest } else { nodes[parent].left = rest }
                return
            }
            parent = next
        }
    }

    /// The batch ends later than was thought, and still before the next one.
    mutating func postpone(_ slot: Int, to end: UInt64) {
        nodes[slot].end = end
    }

    /// Finds the neighbours of a batch that is about to be inserted.
    private mutating func link(_ slot: Int, _ root: Int) {
        var next = root
        while next != OpenBatch.none {
            if isBefore(next, slot) {
                nodes[slot].earlier = next
                next = nodes[next].right
            } else {
                nodes[slot].later = next
                next = nodes[next].left
            }
        }
        let (earlier, later) = (nodes[slot].earlier, nodes[slot].later)
        if earlier != OpenBatch.none { nodes[earlier].later = slot }
        if later != OpenBatch.none { nodes[later].earlier = slot }
    }

    private func isBefore(_ one: Int, _ other: Int) -> Bool {
        (nodes[one].end, one) < (nodes[other].end, other)
    }

    /// The batches below `root` that stand before the one in `slot`, and those after it.
    private mutating func split(_ root: Int, by slot: Int) -> (before: Int, after: Int) {
        if root == OpenBatch.none { return (root, root) }
        if isBefore(root, slot) {
            let (before, after) = split(nodes[root].right, by: slot)
            nodes[root].right = before
            return (root, after)
        }
        let (before, after) = split(nodes[root].left, by: slot)
        nodes[root].left = after
        return (before, root)
    }

    /// One tree of two; all of the first end before those of the second.
    private mutating func join(_ first: Int, _ second: Int) -> Int {
        if first == OpenBatch.none { return second }
        if second == OpenBatch.none { return first }
        if nodes[first].priority > nodes[second].priority {
            nodes[first].right = join(nodes[first].right, second)
            return first
        }
        nodes[second].left = join(first, nodes[second].left)
        return second
    }
}

/// Lines of batches that became one, each piece known by its index and linked to the next, so
/// that no line is moved for it.
struct Pieces {
    private var pieces: [(bytes: [UInt8], next: Int)] = []
    private var free: [Int] = []

    /// Pieces in their order.
    struct List {
        fileprivate var first = OpenBatch.none
        fileprivate var last = OpenBatch.none

        var isEmpty: Bool { first == OpenBatch.none }
    }

    /// Moves the bytes to the end of the list.
    mutating func append(_ bytes: inout [UInt8], to list: inout List) {
        if bytes.isEmpty { return }
        let index = free.popLast() ?? pieces.count
        if index == pieces.count { pieces.append(([], OpenBatch.none)) }
        pieces[index].next = OpenBatch.none
        swap(&pieces[index].bytes, &bytes)
        append(List(first: index, last: index), to: &list)
    }

    mutating func append(_ other: List, to list: inout List) {
        if other.isEmpty { return }
        if list.isEmpty {
            list = other
        } else {
            pieces[list.last].next = other.first
            list.last = other.last
        }
    }

    /// Puts all of the list before the bytes.
    mutating func take(_ list: List, before bytes: inout [UInt8]) {
        if list.isEmpty { return }
        var whole: [UInt8] = []
        var index = list.first
        while index != OpenBatch.none {
            whole += pieces[index].bytes
            pieces[index].bytes = []
            free.append(index)
            index = pieces[index].next
        }
        bytes = whole + bytes
    }
}
