// Reading files and directories.
import PreforkLibc

extension System {
    /// The bytes of a file.
    static func readFile(_ path: String) throws(SystemError) -> [UInt8] {
        let file = try own(try call("open", path) { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) })
        let raw = file.raw
        var contents: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = try call("read", path) { read(raw, &buffer, buffer.count) }
            if count == 0 { return contents }
            contents.append(contentsOf: buffer.prefix(count))
        }
    }

    /// The text of a file. `nil` if it cannot be read.
    static func text(_ path: String) -> String? {
        (try? readFile(path)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The names in a directory (readdir(3)), without `.` and `..`.
    static func entries(of path: String) throws(SystemError) -> [String] {
        let opened = try own(try call("open", path) { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) })
        let raw = opened.raw
        let directory = try callForPointer("fdopendir", path) { fdopendir(raw) }
        _ = opened.release()  // The stream owns it now.
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
