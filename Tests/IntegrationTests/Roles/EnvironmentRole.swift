// A fleet of one whose child reports its environment.
#if os(Linux)
    import PreforkLibc
    import Prefork

    struct EnvironmentRole: Role {
        func run() async throws {
            var configuration = Prefork.Configuration(children: 1)
            configuration.program.environment = ["EXTRA": "added", "REPLACED": "new"]
            if currentEnvironment()["PREFORK_SLOT"] != nil { reportBefore() }
            if case .child = Prefork.role { reportAfter() }
            let fleet = Prefork(.loopback(), configuration: configuration)
            try runBlocking(fleet) { child in
                report("serving")
                answerWithPID(try child.takeListener(), child)
            }
            report("returned")
        }

        /// The handshake, and how often each of its variables is there, before Prefork reads it.
        private func reportBefore() {
            var counts: [String: Int] = [:]
            var entry = environ
            while let text = entry.pointee {
                counts[String(String(cString: text).prefix { $0 != "=" }), default: 0] += 1
                entry += 1
            }
            for name in counts.keys.sorted() where isHandshake(name) { report("before \(name) \(counts[name] ?? 0)") }
        }

        private func reportAfter() {
            let variables = currentEnvironment()
            for name in variables.keys.sorted() where isHandshake(name) { report("after \(name)") }
            for name in ["EXTRA", "REPLACED", "NOTIFY_SOCKET", "WATCHDOG_USEC", "PREFORKED"] {
                report("\(name)=\(variables[name] ?? "-")")
            }
            report("comm \(readText("/proc/self/comm") ?? "?")")
        }

        private func isHandshake(_ name: String) -> Bool { name.hasPrefix("PREFORK") || name.hasPrefix("LISTEN_") }
    }
#endif
