import Glibc
import Testing

// What somebody types, and mistypes.
extension WsTerminalTests {
    @Test func backspaceTakesWholeCharacters() throws {
        let person = try Person()
        let peer = try ListeningPeer("-t")
        let session = try connect("-t", person, peer)
        person.type("aé€😀")
        #expect(person.sees(["> aé€😀"]), "\(person.rows)")
        person.type("\u{7F}\u{7F}")
        #expect(person.sees(["> aé"]), "\(person.rows)")
        person.type("\u{7F}b\u{1B}[D")
        #expect(person.look { $0.rows == ["> ab"] && $0.column == 3 }, "\(person.rows)")
        person.type("\u{1B}[3~c\n")
        #expect(peer.session.prints("ac\n"))
        end(session, person)
    }

    /// A slip ended the session with 65, subscriptions and all.
    @Test func aBadLineIsTold() throws {
        let person = try Person()
        let session = try connect("-d", person, try ListeningPeer("-t --echo"))
        person.type("x\n")
        #expect(person.sees(["> x", said, "> "]), "\(person.rows)")
        person.type("2\n")
        #expect(person.sees(["> x", said, "> 2", "< 2", "> "]), "\(person.rows)")
        end(session, person)
    }
}
