// Stops and the program around the fleet: its own handlers, hooks, further runs, its standard error.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration.Stop {
        /// The program handles no signals. TERM's default action ends the master, and the children notice.
        @Test func signalsUnhandledAreTheProgramsOwn() throws {
            let subject = try Subject.start(FleetRole(handlesSignals: false))
            _ = try subject.waitForReady(2)
            subject.signal(SIGTERM)
            try subject.expectExit(128 + SIGTERM)
            try subject.waitUntilAlone()
        }

        /// The handler of TERM is restored, that of INT was installed during the run and stays, and USR1 is ignored
        /// again.
        @Test func handlersAreRestored() throws {
            let subject = try Subject.start(HandlersRole())
            _ = try subject.waitForReady(1)
            subject.signal(SIGTERM)
            try subject.waitForReport("returned")
            #expect(subject.reports("own").sorted() == ["INT", "TERM"], subject.log)
            try subject.expectExit(0)
        }

        @Test func statusTable() throws {
            let subject = try Subject.hello(["--children", "2"])
            _ = try subject.waitForReady(2)
            subject.signal(SIGUSR1)
            try subject.waitForLog("status: master \(subject.pid)")
            try subject.eventually("two rows") {
                subject.logLines("]:   ").filter { $0.contains(" ready ") }.count >= 2
            }
            subject.signal(SIGTERM)
            try subject.expectExit(0)
        }

        @Test func runAgainAndAgain() throws {
            let subject = try Subject.start(FleetRole(runs: 3))
            for run in 1...3 {
                try subject.eventually("run \(run)") { subject.readyPIDs.count == 2 * run }
                subject.signal(SIGTERM)
                try subject.eventually("the end of run \(run)") { subject.reports("returned").count == run }
            }
            #expect(subject.reports("clean").count == 3, subject.log)
            try subject.wait()
        }

        @Test func secondRunIsAnError() throws {
            let subject = try Subject.start(SecondRunRole())
            try subject.waitForReport("second a fleet is already running in this process")
            _ = try subject.waitForReady(1)
            subject.signal(SIGTERM)
            try subject.expectExit(0)
        }

        @Test func stopBeforeRun() throws {
            let subject = try Subject.start(StopBeforeRunRole())
            try subject.waitForReport("returned with 0 slots")
            try subject.wait()
        }

        @Test func stopFromAHook() throws {
            let subject = try Subject.start(ReentrantRole())
            try subject.waitForReport("returned")
            // One address at each of three starts before the stop.
            #expect(subject.reports("addresses") == ["1", "1", "1"], subject.log)
            #expect(subject.reports("stopping") == ["true"], subject.log)
            #expect(subject.standardError.contains("stopping: requested by the program"), subject.log)
            try subject.expectExit(0)
            try subject.waitUntilAlone()
        }

        /// Of two fleets one after the other, each has children of its own.
        @Test func oneFleetAfterAnother() throws {
            let subject = try Subject.start(TwoFleetsRole())
            for name in ["A", "B"] {
                try subject.eventually("fleet \(name)") {
                    subject.reports("serving").filter { $0 == name }.count == 2
                }
                subject.signal(SIGTERM)
                try subject.waitForReport("ended \(name)")
            }
            #expect(subject.reports("serving") == ["A", "A", "B", "B"], subject.log)
            #expect(Set(subject.reports("again")) == ["this child has already served; files open"], subject.log)
            try subject.expectExit(0)
        }

        /// If the master itself was suspended while its timers ran out, it does not judge children by them.
        @Test func suspendedMasterKillsNoChild() throws {
            let subject = try Subject.start(
                FleetRole(
                    readinessTimeout: .milliseconds(1200), gracePeriod: .milliseconds(400), serve: .waitForStop))
            try subject.eventually("two children") { subject.reports("fds").count == 2 }
            try subject.suspend([subject.pid])
            poll(nil, 0, 2600)  // Longer than the readiness timeout and the rule's second, as the test needs it.
            subject.signal(SIGCONT)
            try subject.waitForLog("restarting its timers")
            #expect(subject.logLines("not ready after") == [], subject.log("no child is judged at once"))
            try subject.waitForLog("not ready after")  // After the whole timeout again.
            subject.signal(SIGTERM)
            try subject.wait()
        }

        /// A TERM that comes while a run ends for another reason reaches the program, which would run its fleet again.
        @Test(arguments: PersistentRole.End.allCases, [false, true])
        func lateTerm(firstEnd: PersistentRole.End, handlesTerm: Bool) throws {
            let subject = try Subject.start(PersistentRole(firstEnd: firstEnd, handlesTerm: handlesTerm))
            try subject.waitForLog("stopping: ")
            subject.signal(SIGTERM)
            if !handlesTerm {
                try subject.expectExit(128 + SIGTERM)
                #expect(subject.reports == [], subject.log("nothing of the program ran after the first run"))
                try subject.waitUntilAlone()
                return
            }
            try subject.waitForReport("own TERM")
            try subject.waitForReport("\(firstEnd == .failure ? "failed" : "ended") 1")
            try subject.eventually("a second run") { subject.readyPIDs.count == 4 }
            subject.signal(SIGTERM)
            try subject.waitForReport("ended 2")
            try subject.expectExit(0)
            #expect(subject.reports("own TERM").count == 1, subject.log("a TERM that stops a run is the run's"))
        }

        /// A standard error that is closed or full neither ends nor stops a master.
        @Test(arguments: [true, false])
        func brokenStandardError(closed: Bool) throws {
            var ends: [CInt] = [-1, -1]
            try #require(pipe(&ends) == 0)
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            if !closed {
                // The pipe is filled until not one more byte fits.
                _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
                let block = [UInt8](repeating: 0, count: 4096)
                while write(ends[1], block, block.count) > 0 {}
                _ = fcntl(ends[1], F_SETFL, 0)
            }
            let directory = try makeDirectory()
            defer { removeTree(directory) }
            let path = "\(directory)/socket"
            let subject = try Subject.hello(["--children", "2"], address: "unix:\(path)", standardError: ends[1])
            close(ends[1])
            if closed { close(ends[0]) }
            defer { if !closed { close(ends[0]) } }
            try subject.eventually("an answer") { Connection.open(path: path)?.request("/") == .hello }
            var children: [pid_t] = []
            try subject.eventually("two children") {
                children = subject.descendants.map(\.pid)
                return children.count == 2
            }
            kill(children[0], SIGKILL)
            try subject.eventually("a replacement") {
                let now = subject.descendants.map(\.pid)
                return now.count == 2 && !now.contains(children[0])
            }
            subject.signal(SIGTERM)
            try subject.expectExit(0)
        }
    }
#endif
