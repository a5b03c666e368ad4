// For the type-check only, compiled into the same module as the library. This is what the static SDK for Linux adds in
// Swift to musl's headers. The signatures are the SDK's, and the bodies never run.
import Musl

var errno: Int32 {
    get { __errno_location().pointee }
    set { __errno_location().pointee = newValue }
}
var S_IFMT: mode_t { 0o170000 }
var S_IFSOCK: mode_t { 0o140000 }
var S_IFREG: mode_t { 0o100000 }
func ioctl(_ descriptor: Int32, _ request: UInt, _ value: UnsafeMutableRawPointer) -> Int32 { -1 }
func open(_ path: UnsafePointer<CChar>, _ flags: Int32) -> Int32 { -1 }
func fcntl(_ descriptor: Int32, _ command: Int32) -> Int32 { -1 }
func fcntl(_ descriptor: Int32, _ command: Int32, _ value: Int32) -> Int32 { -1 }
