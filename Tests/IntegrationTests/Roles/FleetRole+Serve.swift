// The behavior of a fleet's children.
#if os(Linux)
    import PreforkLibc
    @testable import Prefork

    extension FleetRole {
        enum Serve: Codable, Sendable {
            /// Answers each request with the child's process identifier.
            case answer
            /// The same, once it has said that it is ready.
            case answerWhenReady
            /// The same, with a listener that keeps connections back until their first byte.
            case answerDeferred
            /// The same, and reports which TLS identity the child has.
            case answerAndReportTLS
            /// The same, after a shell has left an orphan.
            case answerAfterLeavingOrphan
            /// The same, but the first connection makes a shell leave an orphan, and is then closed.
            case answerAndLeaveOrphanWhenAsked
            /// Takes every listener and waits for the stop.
            case takeAll
            /// Takes every listener by its name, tries an unknown name and every name again, and waits for the stop.
            case takeByName
            /// Takes a listener twice, and one that does not exist.
            case takeTwice
            /// Listens once more, as a framework does, and waits until the backlog has its earlier value.
            case listenAgain
            case waitForStop
            /// Answers, but a request for /shutdown makes the child call shutdown(2) on its listener and exit.
            case answerOrShutDown
            /// Registers handlers of the stop before, during and after it.
            case handleStop
            /// Ignores SIGTERM.
            case ignoreTerm
            /// Never finishes its drain.
            case neverDrain
            case exit(Int32)
            case fail
            /// The child of slot 0 exits. The others answer once they are ready.
            case exitInFirstSlot
            /// One connection at a time, noted in a map that the test reads.
            case chaos(map: String)
            /// The same, but the child of slot 0 exits.
            case chaosAndExitInFirstSlot(map: String)
        }

        func serve(_ child: Prefork.Child) throws {
            reportState(of: child)
            switch child.launch == 0 ? firstServe ?? serve : serve {
            case .answer: answerWithPID(try child.takeListener(), child)
            case .answerWhenReady:
                child.ready()
                answerWithPID(try child.takeListener(), child)
            case .answerDeferred:
                let listener = try child.takeListener()
                try PlatformListener.setDeferAccept(listener, seconds: 20)
                report("defers")
                answerWithPID(listener, child)
            case .answerAndReportTLS:
                report("tls \(child.tlsIdentity.map { "\($0)" } ?? "none")")
                answerWithPID(try child.takeListener(), child)
            case .answerAfterLeavingOrphan:
                leaveOrphan()
                report("forked")
                answerWithPID(try child.takeListener(), child)
            case .answerAndLeaveOrphanWhenAsked:
                let listener = try child.takeListener()
                var request = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
                poll(&request, 1, -1)
                let connection = accept(listener, nil, nil)
                leaveOrphan()
                close(connection)
                answerWithPID(listener, child)
            case .takeAll: try takeAll(child)
            case .takeByName: try takeByName(child)
            case .takeTwice: try takeTwice(child)
            case .listenAgain: try listenAgain(child)
            case .waitForStop: waitForStop(child)
            case .answerOrShutDown:
                let listener = try child.takeListener()
                answerWithPID(listener, child) { request in
                    guard request.hasPrefix("GET /shutdown") else { return }
                    shutdown(listener, CInt(SHUT_RDWR))
                    exit(3)
                }
            case .handleStop: handleStop(child)
            case .ignoreTerm:
                signal(SIGTERM, SIG_IGN)
                report("ignoresTerm \(getpid())")
                while true { pause() }
            case .neverDrain:
                _ = try child.takeListener()
                report("neverDrains \(getpid())")
                while true { pause() }
            case .exit(let status): exit(status)
            case .fail: throw Deliberate("serve failed on purpose")
            case .exitInFirstSlot:
                if child.slot == 0 { exit(1) }
                child.ready()
                answerWithPID(try child.takeListener(), child)
            case .chaos(let map): try serveChaos(child, try ChaosMap(map))
            case .chaosAndExitInFirstSlot(let map):
                if child.slot == 0 { exit(1) }
                try serveChaos(child, try ChaosMap(map))
            }
        }

        private func takeAll(_ child: Prefork.Child) throws {
            for index in child.addresses.indices {
                report("listener \(try child.takeListener(at: index)) \(child.addresses[index])")
            }
            waitForStop(child)
        }

        private func takeByName(_ child: Prefork.Child) throws {
            for address in child.addresses {
                guard let name = address.name else { continue }
                report("named \(name) \(try child.takeListener(named: name)) \(address)")
            }
            do { _ = try child.takeListener(named: "unknown") } catch { report("unnamed \(error)") }
            for name in Set(child.addresses.compactMap(\.name)) {
                do { _ = try child.takeListener(named: name) } catch { report("again \(error)") }
            }
            waitForStop(child)
        }

        private func takeTwice(_ child: Prefork.Child) throws {
            _ = try child.takeListener()
            do { _ = try child.takeListener() } catch { report("second \(error)") }
            do { _ = try child.takeListener(at: 7) } catch { report("seventh \(error)") }
            waitForStop(child)
        }

        private func listenAgain(_ child: Prefork.Child) throws {
            let listener = try child.takeListener()
            let before = PlatformListener.queue(of: listener)?.limit
            listen(listener, 128)
            report("listensAgain \(PlatformListener.queue(of: listener)?.limit ?? 0)")
            child.ready()
            while PlatformListener.queue(of: listener)?.limit != before { poll(nil, 0, 1) }
            report("backlog is back")
            waitForStop(child)
        }

        private func handleStop(_ child: Prefork.Child) {
            child.onStop { report("onStop 1") }
            child.onStop {
                poll(nil, 0, 50)  // Until after `serve` has returned.
                report("onStop 2")
            }
            waitForStop(child)
            report("stopping \(child.isStopping)")
            child.onStop { report("onStop late") }
        }
    }

    /// The shell exits before the process that it has started.
    private func leaveOrphan() { system("sleep 0.05 &") }
#endif
