// Children that serve are replaced, the new one first.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Recycling {
            /// A leak in all children: they are replaced one after another, and no request is lost.
            @Test func aboveALimitOfMemory() throws {
                let subject = try Subject.hello(
                    ["--children", "2", "--listening", "sharded", "--readiness", "explicit", "--recycle-above", "200"])
                let old = try subject.waitForReady(2)
                let port = try subject.port()
                var eaters: Set<pid_t> = []
                try subject.eventually("both children have eaten") {
                    guard let connection = Connection.open(port: port),
                        let pid = connection.request("/pid", keepAlive: true).pid, !eaters.contains(pid)
                    else { return eaters.count == 2 }
                    try #require(connection.request("/eat?mb=300").body == "eaten", subject.log)
                    eaters.insert(pid)
                    return eaters.count == 2
                }
                let load = Load(port: port, clients: 4)
                try subject.eventually("replacements") {
                    subject.logLines(" of resident memory (recycling.above)").count == 2
                }
                let now = try subject.waitForChildren(2) { !old.contains($0) }
                let count = load.stop()
                #expect(count.answered > 0 && count.cut + count.refused + count.timedOut == 0, subject.log("\(count)"))
                #expect(Set(now).isDisjoint(with: old))
                // The second one waited until the first one was replaced.
                let lines = subject.standardError.split(separator: "\n")
                let order = lines.compactMap { line in
                    line.contains(" is replaced: ") ? "begin" : line.contains(" has taken its place") ? "end" : nil
                }
                #expect(order == ["begin", "end", "begin", "end"], subject.log)
            }

            @Test func byAgeAndByRequest() throws {
                let subject = try Subject.hello(
                    ["--children", "1", "--readiness", "explicit", "--recycle-after", "2"])
                let first = try subject.waitForReady(1)[0]
                let port = try subject.port()
                #expect(get("/replace", port: port).body == "asked", subject.log)
                let second = try subject.waitForChildren(1) { $0 != first }[0]
                #expect(subject.logLines("\(first) (slot 0) is replaced: it asked for it").count == 1, subject.log)
                try subject.waitForChildren(1) { $0 != second }
                #expect(subject.logLines("\(second) (slot 0) is replaced: it is old enough").count == 1, subject.log)
                #expect(subject.logLines("recovering") == [], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }
        }
    }
#endif
