// The definitions of bind(2) and listen(2) that the linker prefers to those of the C library.
import Prefork
import PreforkLibc

/// bind(2). Only in a child of a fleet that takes it over does it differ from the C library's.
@_cdecl("bind")
public func takeoverBind(_ socket: CInt, _ address: UnsafePointer<sockaddr>?, _ length: socklen_t) -> CInt {
    TakeoverChild.current?.bind(socket, address, length) ?? CLibrary.bind(socket, address, length)
}

/// listen(2). Only for a socket that got a listener of the fleet does it differ from the C library's.
@_cdecl("listen")
public func takeoverListen(_ socket: CInt, _ backlog: CInt) -> CInt {
    TakeoverChild.current?.listen(socket) ?? CLibrary.listen(socket, backlog)
}
