import PreforkLibc

extension Prefork.Child {
    /// Asks the master for the listener of an address, and waits for the answer.
    ///
    /// The wait ends without an answer if the master dies. The master's end of the pair is closed with the process,
    /// whether it has arrived there or is still in the channel. Several threads may ask at the same time, because each
    /// question has its own pair.
    /// - Returns: `nil` if the address is not the fleet's.
    func requestListener(_ request: BindRequest) throws(SystemError) -> Descriptor? {
        let ends = try Channel.makePair().split()
        let own = Descriptor(ends.first)
        let other = Descriptor(ends.second)
        do throws(SystemError) {
            try send(.bind(request), passing: other.raw)
        } catch {
            throw error.code == EPIPE || error.code == ECONNRESET ? gone : error
        }
        // Closed after the send and before the wait, because a copy that stays open here would hide the master's end.
        other.close()
        while true {
            var requests = [pollfd(fd: own.raw, events: Int16(POLLIN), revents: 0)]
            try System.poll(&requests, until: nil)
            let (input, descriptors, _) = Channel.receiveWithDescriptors(from: own.raw)
            switch input {
            case .nothing: continue
            case .hungUp: throw gone
            case .bytes(let bytes):
                switch BindAnswer(bytes: bytes) {
                case .notTaken: return nil
                case .failed(let code): throw SystemError(call: "bind", code: code)
                case .listener:
                    guard let listener = descriptors.first else {
                        throw SystemError(call: "recvmsg", code: EMFILE)  // The kernel could not install it here.
                    }
                    return try System.duplicate(listener.raw, atLeast: 3)
                case nil: throw gone
                }
            }
        }
    }

    private var gone: SystemError {
        SystemError(call: "bind", code: EADDRNOTAVAIL, context: "the master \(masterPID), which gives no answer")
    }
}
