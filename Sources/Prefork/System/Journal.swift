// Whether a descriptor is connected to the journal of systemd.

enum Journal {
    static let variable = "JOURNAL_STREAM"

    /// Whether text that is written to a descriptor becomes entries of the journal, which have time stamps of their
    /// own. The variable has the device and inode of the stream (systemd.exec(5)). Both are compared, because a program
    /// may have redirected its standard error, and a child inherits the variable.
    static func receives(_ descriptor: CInt) -> Bool {
        receives(descriptor, stream: System.environmentValue(variable))
    }

    /// - Parameter stream: the value of the variable.
    static func receives(_ descriptor: CInt, stream: String?) -> Bool {
        guard let stream else { return false }
        let numbers = stream.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard numbers.count == 2, let device: UInt64 = plainNumber(Substring(numbers[0])),
            let inode: UInt64 = plainNumber(Substring(numbers[1]))
        else { return false }
        return System.identity(of: descriptor) == FileIdentity(device: device, inode: inode)
    }
}
