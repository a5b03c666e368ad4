// The directory of children whose program has left the one in which it was started.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Integration {
        @Suite struct WorkingDirectory {
            @Test func childrenStartWhereTheMasterStarted() throws {
                let directory = readLinkText("/proc/self/cwd")
                try #require(directory != "/")
                let subject = try Subject.start(WorkingDirectoryRole())
                let pids = try subject.waitForReady(1)
                #expect(subject.reports("directory") == [directory], subject.log)
                kill(pids[0], SIGKILL)
                try subject.eventually("a replacement") { subject.readyPIDs.count == 2 }
                #expect(subject.reports("directory") == [directory, directory], subject.log)
                subject.signal(SIGTERM)
                try subject.expectExit(0)
            }
        }
    }
#endif
