// fasthttp's prefork_test.go, case by case, under its names.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct Fasthttp {
            @Test func testIsChild() throws {
                let subject = try Subject.start(FleetRole(children: 1))
                _ = try subject.waitForReady(1)
                // A child reports its state, the master its hooks. A child may be ready before it reports.
                try subject.eventually("a child's report") { !subject.reports("fds").isEmpty }
                #expect(subject.reports("child").count == 1, subject.log)
                #expect(subject.reports("onMasterReady").count == 1, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func testSetTCPListenerFiles() throws {
                let subject = try Subject.start(FleetRole(children: 1, serve: .takeAll))
                let port = try subject.port()
                try subject.eventually("the listener") { subject.reports("listener").count == 1 }
                #expect(subject.reports("listener") == ["3 127.0.0.1:\(port)"], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test func testSetTCPListenerFilesClosesListenerOnFileError() throws {
                // The second address fails. The run must close the first listener and leave nothing.
                let subject = try Subject.start(
                    FleetRole(addresses: [.loopback(), .unix("/no/such/directory/socket")]))
                let error = try subject.thrownError()
                #expect(error.contains("unix:/no/such/directory/socket"), subject.log)
                #expect(subject.reports.contains("clean"), subject.log)
                try subject.wait()
            }

            @Test func testPreforkClosesParentListenerFiles() throws {
                let subject = try Subject.start(FleetRole())
                let port = try subject.port()
                _ = try subject.waitForReady(2)
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
                #expect(subject.reports.contains("clean"), subject.log)
                #expect(subject.reports.contains("childless"), subject.log)
                #expect(get("/", port: port) == .refused, subject.log)
                try subject.wait()
            }

            enum TLSForm: CaseIterable { case none, files, embedded }

            @Test(arguments: TLSForm.allCases)
            func testListenAndServeStubChildPath(form: TLSForm) throws {
                let identity = try TestIdentity()
                defer { identity.remove() }
                let tls: FleetRole.TLS? =
                    switch form {
                    case .none: nil
                    case .files: .files(chain: identity.chain, key: identity.key)
                    case .embedded: .embedded(chain: identity.chain, key: identity.key)
                    }
                let subject = try Subject.start(FleetRole(children: 1, tls: tls, serve: .answerAndReportTLS))
                _ = try subject.waitForReady(1)
                try subject.eventually("the child's TLS identity") { subject.reports("tls").count == 1 }
                let text = try #require(subject.reports("tls").first)
                switch form {
                case .none: #expect(text == "none", subject.log)
                case .files: #expect(text.contains(identity.chain), subject.log)
                case .embedded: #expect(text.contains("embedded"), subject.log)
                }
                try #require(get("/", port: subject.port()).pid != nil, subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }

            @Test(
                arguments: [
                    (.throwing, "the producer failed on purpose"), (.returningZero, "returned 0"),
                    (.returningMaster, "not a live child"), (.returningMastersParent, "not a live child"),
                    (.returningFirstChild, "not a live child"),
                ] as [(FleetRole.Spawn, String)])
            func testDoCommandCommandProducerErrors(spawn: FleetRole.Spawn, text: String) throws {
                let subject = try Subject.start(FleetRole(spawn: spawn))
                let error = try subject.thrownError()
                #expect(error.hasPrefix("PreforkError "), subject.log)
                #expect(error.contains(text), subject.log)
                #expect(subject.reports.contains("clean"), subject.log)
                #expect(subject.reports.contains("childless"), subject.log)
                try subject.wait()
                try subject.waitUntilAlone()
            }

            @Test func testPreforkLifecycle() throws {
                let subject = try Subject.start(
                    FleetRole(
                        recoverThreshold: .exits(3), recoverInterval: .zero, firstServe: .exit(3), serve: .exit(4)))
                try subject.wait()
                let calls = subject.reports.filter { $0.hasPrefix("on") }
                let hooks = calls.map { String($0.prefix { $0 != " " }) }
                #expect(hooks.prefix(3) == ["onChildSpawn", "onChildSpawn", "onMasterReady"], subject.log)
                #expect(hooks.filter { $0 == "onMasterReady" }.count == 1, subject.log)
                let spawned = subject.reports("onChildSpawn")
                try #require(spawned.count >= 2, subject.log)
                // Process identifiers come in the order of the slots.
                #expect(subject.reports("onMasterReady") == ["\(spawned[0]) \(spawned[1])"], subject.log)
                for (index, hook) in hooks.enumerated() where hook == "onChildRecover" {
                    let pids = calls[index].split(separator: " ").dropFirst().map { String($0) }
                    try #require(pids.count == 2, subject.log)
                    // Recovery comes right after the spawn of the new child.
                    try #require(calls[index - 1] == "onChildSpawn \(pids[1])", subject.log)
                    try #require(pids[0] != pids[1], subject.log)
                    try #require(spawned.contains(pids[0]), subject.log)
                }
                // Four exits take four children. If the last two exit at the same moment, one of them is not replaced.
                #expect((2...3).contains(subject.reports("onChildRecover").count), subject.log)
                let error = try subject.thrownError()
                #expect(error.contains("too many exits"), subject.log)
                try subject.waitUntilAlone()
            }

            @Test func testPreforkInitialChildSpawnError() throws {
                try failingHook(.call(1, of: .onChildSpawn), spawns: 1)
            }

            @Test func testPreforkOnMasterReadyError() throws {
                try failingHook(.call(1, of: .onMasterReady), spawns: 2)
            }

            @Test func testPreforkRecoveredChildSpawnError() throws {
                let subject = try failingHook(.call(3, of: .onChildSpawn), spawns: 3, firstServe: .exit(3))
                #expect(subject.reports("onChildRecover") == [], subject.log)
            }

            @Test func testPreforkOnChildRecoverError() throws {
                try failingHook(.call(1, of: .onChildRecover), spawns: 3, firstServe: .exit(3))
            }

            /// The run throws the hook's own error and leaves nothing.
            @discardableResult
            private func failingHook(
                _ call: FleetRole.HookCall, spawns: Int, firstServe: FleetRole.Serve = .answer
            ) throws -> Subject {
                let subject = try Subject.start(
                    FleetRole(recoverInterval: .zero, failingHook: call, firstServe: firstServe))
                let error = try subject.thrownError()
                #expect(error == "Deliberate \(call.hook) failed on purpose", subject.log)
                #expect(subject.reports("onChildSpawn").count == spawns, subject.log)
                #expect(subject.reports.contains("clean"), subject.log)
                #expect(subject.reports.contains("childless"), subject.log)
                try subject.wait()
                try subject.waitUntilAlone()
                return subject
            }

            @Test func testPreforkRecoverInterval() throws {
                let subject = try Subject.start(
                    FleetRole(
                        children: 1, recoverThreshold: .exits(1), recoverInterval: .milliseconds(300), serve: .exit(3)))
                let start = ContinuousClock.now
                try subject.wait()
                #expect(ContinuousClock.now - start >= .milliseconds(300), subject.log)
                #expect(subject.reports("onChildSpawn").count == 2, subject.log)
            }

            @Test func testPreforkShutdownDoesNotBlockOnRecoverInterval() throws {
                let subject = try Subject.start(FleetRole(recoverInterval: .seconds(60), serve: .exit(3)))
                try subject.waitForLog("recovering in 60 s")
                let start = ContinuousClock.now
                subject.signal(SIGTERM)
                try subject.waitForReport("returned")
                #expect(ContinuousClock.now - start < .seconds(5), subject.log)
                try subject.wait()
            }
        }
    }
#endif
