@_exported import Prefork

extension Prefork {
    /// Makes a fleet of a program that binds and listens by itself. Call it first in `main`.
    ///
    /// In the master, it runs the fleet and never returns, like
    /// ``Prefork/Prefork/main(_:adopting:configuration:serve:)``. In a child it returns at once. From then on, bind(2)
    /// gives the program the fleet's listeners. The rest of the program stays as it is.
    ///
    /// ```swift
    /// import PreforkTakeover
    ///
    /// Prefork.takeOver()
    /// // … the program as it was
    /// ```
    ///
    /// Without addresses, the master binds an address when the first child asks for it. With addresses, or with adopted
    /// sockets, the master binds them before it starts a child, and only these are taken over. A program that binds
    /// 127.0.0.1 then gets a listener of the fleet on 0.0.0.0 with the same port. A program that binds 0.0.0.0 gets
    /// EADDRINUSE if the fleet listens on 127.0.0.1 with the same port.
    ///
    /// - bind(2) of a stream socket on an internet or a Unix-domain address puts the listener in the place of the
    ///   program's socket. Close-on-exec and O_NONBLOCK stay as the program has set them. TCP_NODELAY and SO_KEEPALIVE
    ///   are copied. Other options of the socket are those of the fleet.
    /// - The n-th bind(2) of a child to port 0 of a host gets the same port in all children.
    /// - listen(2) keeps the fleet's backlog and tells the master that the child is ready.
    /// - A failed bind(2) of the master fails in the child with the same `errno`.
    /// - Without addresses, a client that binds its own address before it connects gets a listener, too, and connect(2)
    ///   fails with EISCONN. Give the addresses if the program has such clients.
    /// - Without addresses, the children can have up to 128 different addresses. More fail with EMFILE. If a child runs
    ///   as another user than the master, low ports and paths of Unix-domain sockets fail with EACCES.
    /// - Other sockets, and calls before this one, reach the C library unchanged. So do calls in processes that the
    ///   child forks.
    ///
    /// SIGTERM is the program's own: it must drain and exit. It also comes when the master has died. A child that has
    /// not exited within ``Configuration/Shutdown/gracePeriod`` is killed. Three settings of `configuration` do not
    /// apply: ``Configuration/Readiness/mode-swift.property`` and ``Configuration/Signals/children`` are ignored, and
    /// ``Configuration/Readiness/settleTime`` is 1 s by default.
    ///
    /// An error becomes one line on standard error, and the process exits with ``PreforkError/exitStatus``. It is an
    /// error to call this twice, or beside `run` or `main`. Call it from any thread.
    /// - Parameters:
    ///   - addresses: The addresses to take over. Default: all addresses that the program binds.
    ///   - adopting: Sockets that another process has bound. Default: none.
    ///   - configuration: The settings of the fleet. Default: the default of each setting.
    /// - Returns: The child. Its ``Child/addresses`` are empty, because it inherits no listeners. Its
    ///   ``Child/stopDescriptor``, ``Child/stopRequested()`` and ``Child/onStop(_:)`` do not report the stop of the
    ///   fleet, which SIGTERM does. They report the death of the master.
    @discardableResult
    public static func takeOver(
        _ addresses: Address...,
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration()
    ) -> Child {
        takeOver(addresses, adopting: adopting, configuration: configuration)
    }

    /// Makes a fleet of a program that binds and listens by itself, with an array of addresses.
    ///
    /// See ``takeOver(_:adopting:configuration:)-(Address...,_,_)``.
    @discardableResult
    public static func takeOver(
        _ addresses: [Address],
        adopting: SocketSource = .none,
        configuration: Configuration = Configuration()
    ) -> Child {
        CLibrary.resolve()
        return beginTakeover(addresses, adopting: adopting, configuration: configuration).child
    }
}
