extension Prefork {
    /// Runs a fleet whose children bind by themselves, and never returns in the master.
    /// - Returns: in a child, the child.
    package static func beginTakeover(
        _ addresses: [Address], adopting: SocketSource, configuration: Configuration
    ) -> TakeoverChild {
        var adapted = configuration
        adapted.takeover = addresses.isEmpty && adopting.isNone ? .requested : .given
        // The program listens and handles its signals by itself.
        adapted.readiness.mode = .explicit
        adapted.signals.children = .unhandled
        // listen(2) says less than a call of `ready()`, because the program may still fail.
        adapted.readiness.settleTime = configuration.readiness.settleTime ?? .seconds(1)
        if case .nothing = inheritance {
            main(addresses, adopting: adopting, configuration: adapted) { (_: Child) throws in }
        }
        let fleet = Prefork(addresses, adopting: adopting, configuration: adapted)
        do {
            guard TakeoverChild.current == nil else {
                throw PreforkError.invalidConfiguration(
                    "takeOver", reason: "it was called a second time; call it once, first in main, with all addresses")
            }
            // Never released, because this process stays a child of this fleet until it ends.
            try fleet.handle.claim()
            guard let handshake = try handshake(),
                let run = try ChildRun.begin(handshake, adapted, isLast: true, usesPool: true)
            else { throw PreforkError.childHasServed }
            return TakeoverChild.publish(run.child)
        } catch {
            finish(.failure(error))
        }
    }
}
