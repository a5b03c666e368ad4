// Carries out the requests of the control socket's clients.

extension Master {
    /// Call it when the addresses are bound, so that a second master of the same fleet fails before it comes here.
    func openControlSocket() throws(PreforkError) {
        guard let path = configuration.controlSocket else { return }
        control = try ControlServer(path: path, observe: observe)
    }

    /// One turn: reads, begins at most one request, answers those that are done, and sends.
    func serveControl(_ watched: borrowing PollSet) {
        guard let control else { return }
        let now = System.now()
        control.receive(watched, at: now)
        if let next = control.clients.takeRequest(at: now) { begin(next.request, next.client, control, now) }
        finishControlWork(control, now)
        let watchers = control.clients.watchers(at: now)
        if !watchers.isEmpty {
            let status = controlStatus(control, now)
            let (line, state) = (ControlAnswer.success(status.members), status.state)
            for client in watchers { control.clients.watch(client, line, state: state, at: now) }
        }
        control.send(at: now)
    }

    /// All children are reaped, so a request to stop is done.
    func endControl() {
        guard let control else { return }
        let now = System.now()
        finishControlWork(control, now)
        control.end(at: now)
        self.control = nil
    }

    private func controlStatus(_ control: ControlServer, _ now: Instant) -> ControlStatus {
        publish()
        let status = handle.status
        let usage = control.usage(of: status.slots.compactMap(\.state.pid))
        return ControlStatus(status: status, uptime: now - startedAt, usage: usage)
    }

    private func begin(
        _ request: ControlRequest, _ client: ControlClients.ID, _ control: ControlServer, _ now: Instant
    ) {
        switch request {
        case .status:
            control.clients.answer(client, ControlAnswer.success(controlStatus(control, now).members), at: now)
        case .watch: break
        case .stop:
            // A child that has said before the stop that it is ready accepts connections.
            for pid in Array(children.keys) { receiveMessages(from: pid) }
            control.work.append(ControlWork(client: client, kind: .stop))
            feed(.stop(.command(from: control.peer(of: client)), at: now))
        case .restart, .rollback, .resize, .upgrade:
            if supervisor.isStopping { return control.clients.answer(client, ControlWork.stopping.answer, at: now) }
            control.work.append(ControlWork(client: client, kind: kind(of: request)))
            switch request {
            case .resize(let count): resize(to: count)
            case .rollback: feed(.rollback)
            case .upgrade: requestUpgrade()
            default: feed(.restart)
            }
        case .recycle(let slot):
            guard !supervisor.isStopping else {
                return control.clients.answer(client, ControlWork.stopping.answer, at: now)
            }
            guard slot < supervisor.target, let child = supervisor.slots[slot].current else {
                let error = ControlError(.failed, "slot \(slot) has no child")
                return control.clients.answer(client, error.answer, at: now)
            }
            control.work.append(ControlWork(client: client, kind: .recycle(slot: slot, pid: child.pid)))
            feed(.recycle(pid: child.pid, .request))
        }
    }

    private func kind(of request: ControlRequest) -> ControlWork.Kind {
        switch request {
        case .resize(let count): return .resize(to: count)
        case .rollback:
            // Out of a restart, or out of the build that serves.
            let own = supervisor.restart == nil ? supervisor.previousGeneration : nil
            return .rollback(generation: own ?? supervisor.generation)
        case .upgrade: return .upgrade(generation: supervisor.latestGeneration + 1)
        default:
            // Each restart makes a generation, whether it begins now or later.
            return .restart(generation: supervisor.latestGeneration + 1)
        }
    }

    /// Answers the requests that are done.
    private func finishControlWork(_ control: ControlServer, _ now: Instant) {
        control.work.removeAll { work in
            guard let answer = work.answer(supervisor) else { return false }
            control.clients.answer(work.client, answer, at: now)
            return true
        }
    }
}
