import CLinux
import Testing

@testable import stream_serve

@Suite struct AdmissionTests {
    private struct Guest {
        var address: UInt64
        var entry: Int32
        var isRefused: Bool
    }

    private func address(_ number: UInt64) -> clinux_address {
        // The first is that of every connection over a Unix socket.
        clinux_address(high: number == 0 ? 0 : number % 3, low: number)
    }

    /// Who comes and goes at random: the limits hold, and nobody is turned away who fits.
    @Test(arguments: 0..<20) func randomGuests(_ round: Int) {
        var random = Random("admission", round)
        let most = 5 + random.below(400)
        let mostOfOne = 1 + random.below(60)
        let admission = Admission(maxConnections: most, maxPerAddress: mostOfOne, maxUploads: 0)
        var guests: [Guest] = []
        let crowd = random.pick([3, 20, 200])
        for step in 0..<3000 {
            let hint = "round \(round), step \(step), seed \(Seed.value)"
            let isLeaving = random.below(10) < (step / 500 % 2 == 0 ? 2 : 7)
            if isLeaving, !guests.isEmpty {
                let guest = guests.remove(at: random.below(guests.count))
                admission.leave(guest.entry, wasRefused: guest.isRefused)
                continue
            }
            let number = UInt64(random.below(crowd))
            let welcome = guests.filter { !$0.isRefused }
            let refused = guests.count - welcome.count
            let ofOne = welcome.count { $0.address == number }
            let isCrowded =
                number != 0 && guests.count { $0.address == number } >= mostOfOne
            switch admission.ask(address(number)) {
            case .welcome(let entry):
                #expect(welcome.count < most && (number == 0 || ofOne < mostOfOne), "\(hint)")
                guests.append(Guest(address: number, entry: entry, isRefused: false))
            case .tooMany(let refusal, let entry):
                #expect(refusal == .full ? guests.count >= most : isCrowded, "\(hint)")
                #expect(refused < 256, "\(hint)")
                guests.append(Guest(address: number, entry: entry, isRefused: true))
            case .close:
                #expect((guests.count >= most || isCrowded) && refused >= 256, "\(hint)")
            }
            checkEntries(guests, hint)
        }
        for guest in guests { admission.leave(guest.entry, wasRefused: guest.isRefused) }
        isEmpty(admission, most, mostOfOne)
    }

    /// One entry for each address, and no two addresses in one.
    private func checkEntries(_ guests: [Guest], _ hint: String) {
        guard let last = guests.last else { return }
        let isOne = guests.allSatisfy { ($0.address == last.address) == ($0.entry == last.entry) }
        #expect(isOne, "\(hint)")
    }

    /// As if nobody had ever been there.
    private func isEmpty(_ admission: Admission, _ most: Int, _ mostOfOne: Int) {
        for number in 0..<most {
            guard case .welcome = admission.ask(address(UInt64(1000 + number / mostOfOne))) else {
                Issue.record("\(number) of \(most), \(mostOfOne) of one, seed \(Seed.value)")
                return
            }
        }
        guard case .tooMany(.full, _) = admission.ask(address(7)) else {
            Issue.record("more than \(most)")
            return
        }
    }

    /// Those who are turned away take no place from those who are not: an address that knocks all
    /// the time must not shut out the others.
    @Test func refusedTakeNoPlace() {
        let admission = Admission(maxConnections: 100, maxPerAddress: 10, maxUploads: 0)
        for number in 0..<200 {
            let answer = admission.ask(address(1))
            if case .welcome = answer { #expect(number < 10) } else { #expect(number >= 10) }
        }
        guard case .welcome = admission.ask(address(2)) else {
            Issue.record("10 of 100 places are taken, and another address finds none")
            return
        }
    }

    @Test func uploadsAreBounded() {
        let admission = Admission(maxConnections: 1, maxPerAddress: 1, maxUploads: 100)
        #expect(admission.hold(60))
        #expect(!admission.hold(41))
        #expect(admission.hold(40))
        #expect(!admission.hold(1))
        #expect(admission.hold(-50))
        #expect(!admission.hold(51))
        #expect(admission.hold(50))
        #expect(admission.held() == 100)
    }
}
