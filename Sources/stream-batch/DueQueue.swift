/// When the open batches are due, the next one first: a binary heap that knows where each one
/// stands, so that one can be taken out.
struct DueQueue {
    private struct Entry {
        var due: UInt64
        /// Tells entries apart that are due at the same time: the one that was opened first.
        var serial: Int
        var slot: Int

        func isBefore(_ other: Entry) -> Bool {
            due != other.due ? due < other.due : serial < other.serial
        }
    }

    private var heap: [Entry] = []
    /// By slot: its place in the heap, or -1.
    private var places: [Int] = []

    /// The batch that is due next, and when.
    var first: (slot: Int, due: UInt64)? { heap.first.map { ($0.slot, $0.due) } }

    mutating func insert(_ slot: Int, due: UInt64, serial: Int) {
        while places.count <= slot { places.append(-1) }
        heap.append(Entry(due: due, serial: serial, slot: slot))
        places[slot] = heap.count - 1
        rise(heap.count - 1)
    }

    /// Takes out the batch in this slot, if it is there.
    mutating func remove(_ slot: Int) {
        guard slot < places.count, places[slot] >= 0 else { return }
        let place = places[slot]
        places[slot] = -1
        let last = heap.removeLast()
        if place == heap.count { return }
        heap[place] = last
        places[last.slot] = place
        rise(place)
        sink(places[last.slot])
    }

    /// The batch in this slot is due later than it was thought to be.
    mutating func postpone(_ slot: Int, to due: UInt64) {
        heap[places[slot]].due = due
        sink(places[slot])
    }

    private mutating func rise(_ start: Int) {
        var place = start
        while place > 0, heap[place].isBefore(heap[(place - 1) / 2]) {
            exchange(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private mutating func sink(_ start: Int) {
        var place = start
        while true {
            var least = place
            for child in [2 * place + 1, 2 * place + 2]
            where child < heap.count && heap[child].isBefore(heap[least]) {
                least = child
            }
            if least == place { return }
            exchange(place, least)
            place = least
        }
    }

    private mutating func exchange(_ one: Int, _ other: Int) {
        heap.swapAt(one, other)
        places[heap[one].slot] = one
        places[heap[other].slot] = other
    }
}
