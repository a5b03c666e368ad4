import Testing

@testable import Prefork

/// The clients of the control socket, on a virtual clock.
@Suite struct ControlClientsTests {
    private let start = Instant(nanoseconds: 0)

    private func admit(_ clients: inout ControlClients, at now: Instant? = nil) throws -> Int {
        try clients.admit(user: 7, owner: 7, at: now ?? start)
    }

    private func receive(_ text: String, _ clients: inout ControlClients, _ id: Int) {
        clients.receive(Array(text.utf8), from: id)
    }

    private func unsent(_ clients: ControlClients, _ id: Int) -> String {
        String(decoding: clients.unsent(id), as: UTF8.self)
    }

    private func sendAll(_ clients: inout ControlClients, _ id: Int, at now: Instant? = nil) {
        clients.sent(clients.unsent(id).count, to: id, at: now ?? start)
    }

    private func code(_ clients: ControlClients, _ id: Int) -> String? {
        let text = unsent(clients, id)
        guard text.hasPrefix("{\"ok\":false,\"error\":{\"code\":\""), text.hasSuffix("\"}}\n") else { return nil }
        return text.split(separator: "\"")[7].description
    }

    // MARK: Requests

    @Test(arguments: [
        ("status", ControlRequest.status), ("watch", .watch), ("restart", .restart), ("rollback", .rollback),
        ("resize 8", .resize(to: 8)), ("recycle 0", .recycle(slot: 0)), ("upgrade", .upgrade), (" stop \r", .stop),
    ])
    func wordsAreRequests(line: String, request: ControlRequest) throws {
        #expect(try ControlRequest(Array(line.utf8)) == request)
    }

    @Test(arguments: [
        ("", ControlError.Code.unknownRequest), ("STATUS", .unknownRequest), ("status\t", .unknownRequest),
        ("status now", .invalidArgument), ("resize", .invalidArgument), ("resize 0", .invalidArgument),
        ("resize 4097", .invalidArgument), ("resize +4", .invalidArgument), ("resize 4 4", .invalidArgument),
        ("resize 99999999999999999999", .invalidArgument), ("recycle -1", .invalidArgument), ("\u{0}", .unknownRequest),
    ])
    func otherLinesAreErrors(line: String, code: ControlError.Code) {
        #expect(failure { () throws(ControlError) in try ControlRequest(Array(line.utf8)) }?.code == code)
    }

    // MARK: Coming and going

    @Test func onlyTheOwnerAndRootAreAdmitted() throws {
        var clients = ControlClients()
        for user in [UInt32(0), 7] { _ = try clients.admit(user: user, owner: 7, at: start) }
        for user in [UInt32?(8), 65534, nil] {
            let error = failure { () throws(ControlError) in try clients.admit(user: user, owner: 7, at: start) }
            #expect(error?.code == .forbidden)
        }
        let error = failure { () throws(ControlError) in try clients.admit(user: 7, owner: 0, at: start) }
        #expect(error?.code == .forbidden)
        #expect(clients.ids.count == 2)
    }

    @Test func sixteenAreAdmittedAtATime() throws {
        var clients = ControlClients()
        let ids = try (0..<16).map { _ in try admit(&clients) }
        #expect(Set(ids).count == 16)
        let error = failure { () throws(ControlError) in try clients.admit(user: 7, owner: 7, at: start) }
        #expect(error?.code == .tooManyClients)
        clients.remove(ids[3])
        #expect(!ids.contains(try admit(&clients)))
    }

    // MARK: One request after another

    @Test func aLineInPartsIsOneRequest() throws {
        var clients = ControlClients()
        let id = try admit(&clients)
        for part in ["re", "size", " 1", "2"] {
            receive(part, &clients, id)
            #expect(clients.takeRequest(at: start) == nil)
        }
        receive("\nsta", &clients, id)
        #expect(clients.takeRequest(at: start) == .init(client: id, request: .resize(to: 12)))
        #expect(clients.takeRequest(at: start) == nil)
    }

    @Test func theNextRequestWaitsForTheAnswerToBeSent() throws {
        var clients = ControlClients()
        let id = try admit(&clients)
        receive("restart\nstatus\n", &clients, id)
        #expect(clients.nextDeadline(at: start) == start)
        #expect(clients.takeRequest(at: start) == .init(client: id, request: .restart))
        #expect(!clients.wantsInput(id), "a client that waits is not read")
        #expect(clients.nextDeadline(at: start) == nil, "no timer runs while the master works")
        clients.answer(id, Array("x\n".utf8), at: start)
        #expect(clients.takeRequest(at: start) == nil)
        clients.sent(1, to: id, at: start)
        #expect(clients.takeRequest(at: start) == nil)
        clients.sent(1, to: id, at: start)
        #expect(clients.takeRequest(at: start) == .init(client: id, request: .status))
    }

    @Test func clientsTakeTurns() throws {
        var clients = ControlClients()
        let ids = try (0..<3).map { _ in try admit(&clients) }
        for id in ids { receive("status\nstatus\n", &clients, id) }
        var served: [Int] = []
        for _ in 0..<6 {
            let taken = clients.takeRequest(at: start)
            let id = try #require(taken).client
            served.append(id)
            clients.answer(id, [10], at: start)
            sendAll(&clients, id)
        }
        #expect(served == ids + ids)
    }

    @Test func anUnknownLineIsAnsweredAndTheNextOneTaken() throws {
        var clients = ControlClients()
        let id = try admit(&clients)
        receive("nonsense\nstop\n", &clients, id)
        #expect(clients.takeRequest(at: start) == nil)
        #expect(code(clients, id) == "unknownRequest")
        sendAll(&clients, id)
        #expect(clients.takeRequest(at: start) == .init(client: id, request: .stop))
    }

    /// As `printf 'status\n' | nc -N -U PATH` does.
    @Test func aClientThatSendsNoMoreGetsItsAnswers() throws {
        var clients = ControlClients()
        let id = try admit(&clients)
        receive("status\nstatus\n", &clients, id)
        clients.receiveEnd(from: id)
        #expect(!clients.wantsInput(id))
        for _ in 0..<2 {
            #expect(clients.takeRequest(at: start) == .init(client: id, request: .status))
            clients.answer(id, [10], at: start)
            #expect(!clients.isOver(id))
            sendAll(&clients, id)
        }
        #expect(!clients.isOver(id))
        #expect(clients.takeRequest(at: start) == nil)
        #expect(clients.isOver(id))
    }

    @Test func halfARequestAtTheEndIsDropped() throws {
        var clients = ControlClients()
        let id = try admit(&clients)
        receive("sto", &clients, id)
        clients.receiveEnd(from: id)
        #expect(clients.takeRequest(at: start) == nil)
        #expect(clients.isOver(id))
    }

    // MARK: Bounds

    @Test func aRequestHasAtMostAKibibyte() throws {
        var clients = ControlClients()
        let (good, bad) = (try admit(&clients), try admit(&clients))
        receive("status" + String(repeating: " ", count: 1024 - 6), &clients, good)
        #expect(clients.takeRequest(at: start) == nil)
        #expect(clients.wantsInput(good))
        receive("\n", &clients, good)
        #expect(clients.takeRequest(at: start) == .init(client: good, request: .status))

        receive(String(repeating: " ", count: 1025), &clients, bad)
        #expect(!clients.wantsInput(bad), "no more is read than the limit")
        #expect(clients.nextDeadline(at: start) == start)
        #expect(clients.takeRequest(at: start) == nil)
        #expect(code(clients, bad) == "requestTooLong")
        #expect(!clients.isOver(bad))
        sendAll(&clients, bad)
        #expect(clients.isOver(bad))
    }

    @Test func oneThatIsIdleIsToldAndClosed() throws {
        var clients = ControlClients()
        let id = try admit(&clients)
        // Parts of a request keep nothing open.
        receive("st", &clients, id)
        let end = start + .seconds(60)
        #expect(clients.nextDeadline(at: start) == end)
        clients.expire(at: end - .nanoseconds(1))
        #expect(!clients.isOver(id) && clients.unsent(id).isEmpty)
        clients.expire(at: end)
        #expect(code(clients, id) == "idle")
        sendAll(&clients, id, at: end)
        #expect(clients.isOver(id))
    }

    @Test func oneThatDoesNotReadIsClosed() throws {
        var clients = ControlClients()
        let id = try admit(&clients)
        receive("status\n", &clients, id)
        _ = clients.takeRequest(at: start)
        clients.answer(id, Array("0123456789\n".utf8), at: start)
        clients.sent(4, to: id, at: start + .seconds(50))
        clients.expire(at: start + .seconds(109))
        #expect(!clients.isOver(id))
        clients.expire(at: start + .seconds(110))
        #expect(clients.isOver(id))
    }

    @Test func oneThatWaitsForTheMasterIsNotIdle() throws {
        var clients = ControlClients()
        let (working, watching) = (try admit(&clients), try admit(&clients))
        receive("stop\n", &clients, working)
        receive("watch\n", &clients, watching)
        while clients.takeRequest(at: start) != nil {}
        clients.watch(watching, [10], state: .null, at: start)
        sendAll(&clients, watching)
        clients.expire(at: start + .seconds(3600))
        #expect(!clients.isOver(working) && clients.unsent(working).isEmpty)
        #expect(!clients.isOver(watching) && clients.unsent(watching).isEmpty)
        clients.answer(working, [10], at: start + .seconds(3600))
        clients.expire(at: start + .seconds(3600))
        #expect(clients.unsent(working) == [10])
    }

    // MARK: Watching

    @Test func aWatcherGetsALineAtOnceAndThenAtChanges() throws {
        var clients = ControlClients()
        let id = try admit(&clients)
        receive("watch\n", &clients, id)
        #expect(clients.takeRequest(at: start) == nil)
        #expect(clients.watchers(at: start) == [id])
        clients.watch(id, Array("a\n".utf8), state: .integer(1), at: start)
        #expect(unsent(clients, id) == "a\n")
        #expect(clients.watchers(at: start + .seconds(9)).isEmpty, "it has not read its line")
        #expect(clients.nextDeadline(at: start) == start + .seconds(60))
        sendAll(&clients, id)
        let next = start + .milliseconds(500)
        #expect(clients.watchers(at: next - .nanoseconds(1)).isEmpty)
        #expect(clients.nextDeadline(at: start) == next)
        #expect(clients.watchers(at: next) == [id])
        clients.watch(id, Array("b\n".utf8), state: .integer(1), at: next)
        #expect(clients.unsent(id).isEmpty, "nothing has changed")
        #expect(clients.watchers(at: next).isEmpty)
        clients.watch(id, Array("c\n".utf8), state: .integer(2), at: next + .milliseconds(500))
        #expect(unsent(clients, id) == "c\n")
    }

    @Test func whatAWatcherSendsIsNeitherTakenNorKept() throws {
        var clients = ControlClients()
        let id = try admit(&clients)
        receive("watch\nstop\n", &clients, id)
        #expect(clients.takeRequest(at: start) == nil)
        clients.watch(id, [10], state: .null, at: start)
        sendAll(&clients, id)
        #expect(clients.takeRequest(at: start) == nil)
        #expect(clients.wantsInput(id))
        receive(String(repeating: "x", count: 1100), &clients, id)
        #expect(!clients.wantsInput(id))
        #expect(clients.takeRequest(at: start) == nil)
        #expect(!clients.isOver(id))
    }
}
