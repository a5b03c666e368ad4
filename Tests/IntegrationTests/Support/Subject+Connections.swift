// The connections of a process under test, as the kernel lists them.
#if os(Linux)
    import PreforkLibc
    import Testing

    extension Subject {
        /// Waits until that many connections are accepted and have no unread input, so that requests were read.
        func waitUntilInFlight(_ count: Int) throws {
            let port = String(try port(), radix: 16, uppercase: true)
            try eventually("\(count) requests in flight") {
                let rows = (readText("/proc/net/tcp") ?? "").split(separator: "\n").dropFirst()
                return rows.filter { row in
                    // proc(5): sl, local_address, rem_address, st, tx_queue:rx_queue, …, inode. A connection that waits
                    // to be accepted has no inode.
                    let fields = row.split(separator: " ")
                    return fields[1].hasSuffix(":\(port)") && fields[3] == "01" && fields[4].hasSuffix(":00000000")
                        && fields[9] != "0"
                }.count >= count
            }
        }
    }
#endif
