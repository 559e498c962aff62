import Glibc
import Testing

/// ws-cat with somebody at a terminal.
@Suite struct WsTerminalTests {
    /// A client at a person's terminal, with its prompt.
    func connect(
        _ options: String, _ person: Person, _ peer: ListeningPeer,
        environment: [String: String] = [:]
    ) throws -> Session {
        let session = try start(
            "ws-cat", options + " " + peer.url, stdin: person.device, stdout: person.device,
            stderr: person.device, environment: environment)
        person.company = peer.session
        #expect(person.sees(["> "]), "\(person.rows)")
        #expect(!person.isOrdinary)
        return session
    }

    func end(_ session: Session, _ person: Person) {
        person.type("\u{4}")
        #expect(session.finish().ending == .exit(0))
        #expect(person.isRestored)
    }

    @Test func aTypedLineAndItsReply() throws {
        let person = try Person()
        let peer = try ListeningPeer("-t --echo")
        let session = try connect("-t", person, peer)
        person.type("hello\n")
        #expect(person.sees(["> hello", "< hello", "> "]), "\(person.rows)")
        person.type("wörld\r")
        #expect(
            person.sees(["> hello", "< hello", "> wörld", "< wörld", "> "]), "\(person.rows)")
        end(session, person)
        #expect(person.sees(["> hello", "< hello", "> wörld", "< wörld", ""]), "\(person.rows)")
    }

    @Test func jsonAndRecords() throws {
        for (option, line) in [("-d", #"{"a":[1]}"#), ("-r", #"{"type":"text","data":"x"}"#)] {
            let person = try Person()
            let session = try connect(option, person, try ListeningPeer(option + " --echo"))
            person.type(line + "\n")
            #expect(person.sees(["> " + line, "< " + line, "> "]), "\(person.rows)")
            end(session, person)
        }
    }

    @Test func whatComesDoesNotTearWhatIsTyped() throws {
        let person = try Person()
        let peer = try ListeningPeer("-t")
        let session = try connect("-t", person, peer)
        person.type("hal")
        #expect(person.sees(["> hal"]), "\(person.rows)")
        peer.session.write("news\nmore\n")
        #expect(person.sees(["< news", "< more", "> hal"]), "\(person.rows)")
        person.type("f\n")
        #expect(peer.session.prints("half\n"))
        #expect(person.sees(["< news", "< more", "> half", "> "]), "\(person.rows)")
        end(session, person)
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
    func signalsThatEndInOrder(_ signal: Int32) throws {
        let person = try Person()
        let session = try connect("-t", person, try ListeningPeer("-t"))
        person.type("hal")
        #expect(person.sees(["> hal"]))
        session.send(signal)
        #expect(session.finish().ending == .exit(0))
        #expect(person.isRestored)
        #expect(person.sees([""]), "\(person.rows)")
    }

    @Test(arguments: [SIGQUIT, SIGSEGV, SIGABRT, SIGUSR2])
    func signalsThatEndAtOnce(_ signal: Int32) throws {
        let person = try Person()
        // Where the tools are not built for release, Swift would begin to debug.
        let session = try connect(
            "-t", person, try ListeningPeer("-t"),
            environment: ["SWIFT_BACKTRACE": "enable=no"])
        session.send(signal)
        #expect(session.finish().ending == .signal(signal))
        #expect(person.isRestored)
    }

    /// Whoever stops a process changes the terminal meanwhile.
    @Test func afterAStop() throws {
        let person = try Person()
        let peer = try ListeningPeer("-t")
        let session = try connect("-t", person, peer)
        person.type("hal")
        #expect(person.sees(["> hal"]))
        session.send(SIGSTOP)
        person.restore()
        let before = person.bytes.count
        session.send(SIGCONT)
        #expect(person.look { $0.bytes.count > before && !$0.isOrdinary })
        #expect(person.sees(["> hal"]), "\(person.rows)")
        person.type("f\n")
        #expect(peer.session.prints("half\n"))
        end(session, person)
    }

    /// A shell with job control: Ctrl-Z, its own prompt meanwhile, and Ctrl-C.
    @Test func keysThatSendSignals() throws {
        let person = try Person()
        let peer = try ListeningPeer("-t")
        let shell = try Session(
            "/usr/bin/setsid", ["--ctty", "bash", "--norc", "--noediting", "-i"],
            stdin: person.device, stdout: person.device, stderr: person.device,
            environment: ["PS1": "$ "])
        #expect(person.look { $0.rows.last == "$ " }, "\(person.rows)")
        person.type("ws-cat -t \(peer.url)\n")
        #expect(person.look { $0.rows.last == "> " }, "\(person.rows)")
        person.type("hal")
        #expect(person.look { $0.rows.last == "> hal" }, "\(person.rows)")
        person.type("\u{1A}")
        #expect(person.look { $0.rows.last == "$ " }, "\(person.rows)")
        #expect(person.isRestored)
        peer.session.write("meanwhile\n")
        person.type("fg\n")
        #expect(person.look { $0.rows.suffix(2) == ["< meanwhile", "> hal"] }, "\(person.rows)")
        person.type("f\n")
        #expect(peer.session.prints("half\n"))
        #expect(person.look { $0.rows.last == "> " }, "it shows all before it stops")
        person.type("\u{1A}")
        #expect(person.look { $0.rows.last == "$ " }, "\(person.rows)")
        person.type("bg\n")
        #expect(
            person.look { $0.rows.last == "$ " && $0.rows.suffix(2).first?.last == "&" },
            "\(person.rows)")
        peer.session.write("behind\n")
        // In the background nothing of the shell's line is erased.
        #expect(person.look { $0.rows.suffix(2) == ["$ < behind", ""] }, "\(person.rows)")
        person.type("fg\n")
        #expect(person.look { $0.rows.last == "> " }, "\(person.rows)")
        person.type("\u{3}")
        #expect(person.look { $0.rows.last == "$ " }, "\(person.rows)")
        #expect(person.isRestored)
        person.type("exit 3\n")
        #expect(shell.finish().ending == .exit(3))
    }

    /// Nobody looks: lines are sent all the same, and the second signal ends it at once.
    @Test func aTerminalThatTakesNothing() throws {
        let person = try Person()
        let peer = try ListeningPeer("-t")
        let session = try connect("-t", person, peer)
        peer.session.write(String(repeating: "0123456789\n", count: 20_000))
        person.type("out\n")
        #expect(peer.session.prints("out\n"))
        session.send(SIGTERM)
        // One that comes within half a second is the same.
        #expect(session.waitForEnd(seconds: 1) == nil)
        session.send(SIGTERM)
        #expect(session.waitForEnd() == .signal(SIGTERM))
        #expect(person.isRestored)
    }

    @Test func thePeerEndsIt() throws {
        let person = try Person()
        let peer = try ListeningPeer("-t")
        let session = try connect("-t", person, peer)
        person.type("hal")
        #expect(person.sees(["> hal"]))
        peer.session.write("last\n")
        peer.session.closeInput()
        #expect(session.finish().ending == .exit(0))
        #expect(person.isRestored)
        #expect(person.sees(["< last", ""]), "\(person.rows)")
    }

    @Test func aFailureIsTold() throws {
        let person = try Person()
        let session = try start(
            "ws-cat", "-t ws://127.0.0.1:1", stdin: person.device, stdout: person.device,
            stderr: person.device)
        #expect(session.finish().ending == .exit(69))
        #expect(person.isRestored)
        #expect(person.look { $0.rows.first?.hasPrefix("ws-cat: ") == true }, "\(person.rows)")
        #expect(person.rows.count == 2)
    }

    // MARK: Marks and colours

    @Test func colours() throws {
        let green = "\u{1B}[32m> "
        let cyan = "\u{1B}[36m< "
        for (environment, isColoured, erases) in [
            ([:], true, true), (["NO_COLOR": ""], true, true), (["NO_COLOR": "1"], false, true),
            (["TERM": "dumb"], false, false), (["TERM": ""], false, false),
        ] {
            let person = try Person()
            let peer = try ListeningPeer("-t")
            let session = try connect("-t", person, peer, environment: environment)
            person.type("out\nhal")
            #expect(peer.session.prints("out\n"))
            peer.session.write("in\n")
            // Without erasing there are spaces left.
            #expect(
                person.look {
                    $0.rows.map { $0.trimmed } == ["> out", "< in", "> hal"]
                }, "\(person.rows)")
            #expect(person.text.contains(green + "out\u{1B}[0m") == isColoured)
            #expect(person.text.contains(cyan + "in\u{1B}[0m") == isColoured)
            #expect(person.text.contains("\u{1B}[K") == erases)
            #expect(person.text.contains("\u{1B}") == erases)
            person.type("\u{15}")
            end(session, person)
        }
    }

    @Test func hostileMessagesDoNotReachTheTerminal() throws {
        let hostile = "a\u{1B}]0;x\u{7}b\u{9B}2Jc\rd\u{7F}\u{8}\te"
        for (option, shown) in [
            ("-t", #"a\u{1b}]0;x\u{7}b\u{9b}2Jc\u{d}d\u{7f}\u{8}"#),
            ("-d", #""a\u001b]0;x\u0007b\u009b2Jc\rd\u007f\b\te""#),
        ] {
            let person = try Person()
            let peer = try ListeningPeer("-t")
            let session = try connect(option, person, peer)
            peer.session.write(hostile + "\n")
            #expect(person.look { $0.rows.count == 2 }, "\(person.rows)")
            #expect(person.rows.first?.hasPrefix("< " + shown) == true, "\(person.rows)")
            #expect(person.screen.unknown.allSatisfy { $0 == "9" }, "\(person.screen.unknown)")
            end(session, person)
        }
    }

    /// A message cannot pass for one that was sent.
    @Test func eachLineOfAMessageIsMarked() throws {
        let person = try Person()
        let peer = try ListeningPeer("-t0")
        let session = try connect("-t", person, peer)
        peer.session.write("one\n> two\n\nthree\0")
        #expect(person.sees(["< one", "< > two", "< ", "< three", "> "]), "\(person.rows)")
        end(session, person)
    }

    // MARK: What else is written there

    var said: String {
        "ws-cat: -:1:1: expected a JSON value (--text sends any line)"
    }

    @Test func diagnosticsDoNotTearIt() throws {
        let person = try Person(width: 600)
        let peer = try ListeningPeer("-t")
        let session = try connect("-d --on-error=skip", person, peer)
        person.type("x\nhal")
        #expect(person.sees(["> x", said, "> hal"]), "\(person.rows)")
        session.send(SIGUSR1)
        #expect(person.look { $0.rows.count == 4 && $0.rows[3] == "> hal" }, "\(person.rows)")
        #expect(object(person.rows[2])["tool"] as? String == "ws-cat")
        person.type("\u{15}\u{4}")
        #expect(session.finish().ending == .exit(1))
        #expect(person.isRestored)
        #expect(person.look { $0.rows.suffix(2) == ["ws-cat: 1 rejected", ""] }, "\(person.rows)")
    }

    @Test func aLineLongerThanTheScreen() throws {
        for letter in ["x", "é", "世", "😀"] {
            let person = try Person(width: 20)
            let peer = try ListeningPeer("-t")
            let session = try connect("-t", person, peer)
            let text = String(repeating: letter, count: 50)
            person.type(text + "end")
            let isTail = { (row: String) in
                let columns = row.unicodeScalars.reduce(0) { $0 + ($1.value < 0x1100 ? 1 : 2) }
                return row.hasPrefix("> " + letter) && row.hasSuffix(letter + "end")
                    && (18...19).contains(columns)
            }
            #expect(person.look { $0.rows.count == 1 && isTail($0.rows[0]) }, "\(person.rows)")
            peer.session.write("in\n")
            #expect(
                person.look { $0.rows.count == 2 && isTail($0.rows[1]) && $0.rows[0] == "< in" },
                "\(person.rows)")
            person.type("\n")
            #expect(peer.session.prints(text + "end\n"))
            end(session, person)
        }
    }

    @Test func aTerminalOfAnotherSize() throws {
        let person = try Person()
        let session = try connect("-t", person, try ListeningPeer("-t"))
        person.type(String(repeating: "x", count: 40))
        #expect(person.sees(["> " + String(repeating: "x", count: 40)]), "\(person.rows)")
        person.resize(20)
        session.send(SIGWINCH)
        #expect(person.sees(["> " + String(repeating: "x", count: 17)]), "\(person.rows)")
        person.resize(1)
        session.send(SIGWINCH)
        #expect(person.sees(["> "]), "\(person.rows)")
        person.type("\u{15}")
        end(session, person)
    }

    /// Keys and messages at any moments: each line is whole, and every one is there.
    @Test func nothingIsTornAtRandom() throws {
        var random = SeededGenerator.announced("nothingIsTornAtRandom")
        let person = try Person()
        let peer = try ListeningPeer("-t")
        let session = try connect("-t", person, peer)
        var typed: [String] = []
        var line = ""
        var came: [String] = []
        for step in 0..<400 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0:
                typed.append("> " + line)
                line = ""
                person.type("\n")
            case 1:
                came.append("< message \(step)")
                peer.session.write("message \(step)\n")
            case 2:
                line = String(line.dropLast())
                person.type("\u{7F}")
            default:
                let letter = ["a", "é", "€", "\u{1B}[C", "z"].randomElement(using: &random) ?? ""
                if !letter.hasPrefix("\u{1B}") { line += letter }
                person.type(letter)
            }
            if step % 16 == 0 { _ = person.look(0.005) { _ in false } }
        }
        let count = typed.count + came.count + 1
        #expect(
            person.look(10) { $0.rows.count == count && $0.rows.last == "> " + line },
            "\(person.rows)")
        let above = person.rows.dropLast()
        #expect(above.filter { $0.hasPrefix(">") } == typed)
        #expect(above.filter { $0.hasPrefix("<") } == came)
        person.type("\u{15}")
        end(session, person)
    }

    // MARK: Where there is none

    @Test func onlyATerminalOnBothSides() throws {
        let peer = try ListeningPeer("-t --echo --keep-listening")
        let person = try Person()
        let reader = try start("ws-cat", "-t \(peer.url)", stdin: person.device)
        person.type("a\n")
        #expect(reader.prints("a\n"))
        #expect(person.isOrdinary)
        person.type("\u{4}")
        #expect(reader.finish().ending == .exit(0))
        #expect(person.sees(["a", ""]), "\(person.rows)")
        let other = try Person()
        let writer = try start("ws-cat", "-t \(peer.url)", stdout: other.device)
        writer.write("\u{7F}b\n")
        #expect(other.look { $0.text == "\u{7F}b\r\n" }, "\(other.text)")
        #expect(other.isOrdinary)
        writer.closeInput()
        #expect(writer.finish().ending == .exit(0))
    }

    @Test(arguments: ["-b", "-t0", "-1t"]) func notForThese(_ option: String) throws {
        let peer = try ListeningPeer("-t --echo")
        let person = try Person()
        let session = try start(
            "ws-cat", "\(option) \(peer.url)", stdin: person.device, stdout: person.device,
            stderr: person.device)
        #expect(peer.session.wait(seconds: 0.3) { _ in false } == false)
        #expect(person.isOrdinary)
        #expect(person.bytes.isEmpty)
        session.send(SIGTERM)
        #expect(session.finish().ending == .exit(0))
    }
}

extension String {
    /// Without spaces at the end, but for the one behind the mark of a prompt.
    fileprivate var trimmed: String {
        var text = self
        while text.count > 2 && text.hasSuffix(" ") { text.removeLast() }
        return text
    }
}
