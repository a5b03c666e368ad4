import PreforkLibc
import Testing

@testable import Prefork

private struct HookFailure: Error, CustomStringConvertible {
    let description = "no such program"
}

@Suite struct PreforkErrorTests {
    @Test(
        "fasthttp TestExportedErrorStrings: each error is one line, and has its exit status",
        arguments: [
            (
                PreforkError.invalidAddress("a\nb", reason: "no port"), 64,
                #"invalid address "a\nb": no port"#
            ),
            (
                .cannotListen(.tcp("", port: 80), .init(call: "bind", code: 13, context: ":80")), 64,
                "cannot listen on :80: bind :80: Permission denied (errno 13)"
            ),
            (
                .cannotListen(.tcp("", port: 80), .init(call: "bind", code: 12, context: ":80")), 75,
                "cannot listen on :80: bind :80: Cannot allocate memory (errno 12)"
            ),
            (.invalidConfiguration("backlog", reason: "0 is wrong"), 78, "invalid backlog: 0 is wrong"),
            (.invalidTLSIdentity("no key"), 78, "invalid TLS identity: no key"),
            (
                .invalidHandshake(reason: "PREFORK_SLOT is missing"), 64,
                "this process has variables that only a Prefork master sets, but it is not that master's child: "
                    + "PREFORK_SLOT is missing"
            ),
            (.masterIsGone(pid: 12), 75, "the master 12 is gone"),
            (.alreadyRunning, 70, "a fleet is already running in this process"),
            (
                .overRecovery([]), 70,
                "giving up after too many exits of children (recovery.threshold, recovery.limitPerSlot)"
            ),
            (
                .overRecovery([childExit(.status(1)), childExit(.signal(11, coreDumped: false), wasReady: false)]), 70,
                "giving up after too many exits of children (recovery.threshold, recovery.limitPerSlot); "
                    + "the last of 2: "
                    + "child 1240 (slot 1) exited: signal 11 (SEGV) after 12.4 s, never ready"
            ),
            (
                .childExited(childExit(.status(2))), 70,
                "recovery is off and child 1240 (slot 1) exited: status 2 after 12.4 s"
            ),
            (
                .childRefused(childExit(.status(78))), 78,
                "not trying again, because the status is in recovery.fatalExitStatuses: "
                    + "child 1240 (slot 1) exited: status 78 after 12.4 s"
            ),
            (
                .spawnClosureFailed(slot: 3, HookFailure()), 70,
                "the spawn closure failed for slot 3: no such program"
            ),
            (
                .spawnedStranger(slot: 3, pid: 99), 70,
                "the spawn closure returned 99 for slot 3, which is not a live child of this process"
            ),
            (.listenerTaken(index: 0), 70, "listener 0 is already taken"),
            (.noSuchListener(index: 2, count: 1), 70, "there is no listener 2; there are 1"),
            (.noListenerNamed("web"), 70, "there is no listener named \"web\""),
            (
                .cannotAdopt(7, reason: "descriptor 7 is not a socket"), 64,
                "cannot adopt a listener: descriptor 7 is not a socket"
            ),
            (.noActivatedSockets(reason: "none"), 64, "no activated sockets: none"),
            (.system(noMemory), 70, "posix_spawn /bin/app: Cannot allocate memory (code 12)"),
        ] as [(PreforkError, Int32, String)]
    )
    func statusAndLine(error: PreforkError, status: Int32, line: String) {
        #expect(error.exitStatus == status)
        #expect(error.description == line)
        #expect(!error.description.contains { $0.isNewline })
    }

    @Test func systemErrors() {
        #expect(Prefork.SystemError(call: "fork", code: 11).description.hasSuffix(" (errno 11)"))
        #expect(Prefork.SystemError(call: "fork", code: 11).description.hasPrefix("fork: "))
        let own = Prefork.SystemError(call: "getaddrinfo", code: -2, context: "x:1", message: "unknown name")
        #expect(own.description == "getaddrinfo x:1: unknown name (code -2)")
        #expect(!Prefork.SystemError(call: "x", code: 99_999).message.isEmpty)
    }

    @Test func systemErrorsBecomeOurs() throws {
        let error = failure { () throws(PreforkError) in
            try wrappingSystemErrors { () throws(SystemError) -> Int in throw noMemory }
        }
        guard case .system(let inner) = error?.payload else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(inner == noMemory)
        #expect(try wrappingSystemErrors { () throws(SystemError) in 3 } == 3)
    }
}
