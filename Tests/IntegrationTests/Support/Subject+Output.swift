// The output of a process under test and its descendants.
#if os(Linux)
    import PreforkLibc
    import Testing

    /// The words of a line of the log, without its time stamp.
    func columns(_ line: Substring) -> [Substring] { Array(line.split(separator: " ").dropFirst()) }

    extension Subject {
        var standardError: String { readText("\(directory)/err") ?? "" }

        var logLines: [Substring] { standardError.split(separator: "\n") }

        /// The lines of standard error that contain a text.
        func logLines(_ text: String) -> [Substring] { logLines.filter { $0.contains(text) } }

        /// The children that became ready, in the order of the log.
        var readyPIDs: [pid_t] {
            logLines(" ready after ").compactMap { line in
                line.firstRange(of: ": child ").flatMap { pid_t(line[$0.upperBound...].prefix { $0.isNumber }) }
            }
        }

        /// The reports of a role, without the output of the test library.
        var reports: [String] {
            let output = readText("\(directory)/out") ?? ""
            return output.split(separator: "\n").filter { $0.hasPrefix("@ ") }.map { String($0.dropFirst(2)) }
        }

        /// The rest of each report that begins with these words.
        func reports(_ prefix: String) -> [String] {
            reports.filter { $0.hasPrefix("\(prefix) ") || $0 == prefix }.map { String($0.dropFirst(prefix.count + 1)) }
        }

        // MARK: For expectations

        /// Standard error and reports. Attach it to each expectation, which reads it only if it fails.
        var log: Comment { Comment(rawValue: logText) }

        /// The same, after a sentence about the expectation.
        func log(_ text: String) -> Comment { Comment(rawValue: "\(text)\n\(logText)") }

        private var logText: String {
            // Without what the test library prints in each process of a role.
            let lines = logLines.filter { !$0.hasPrefix("◇ ") && !$0.hasPrefix("↳ ") }
            return (["--- standard error of \(pid) ---"] + lines + ["--- reports ---"] + reports.map { $0[...] })
                .joined(separator: "\n")
        }

        func failure(_ text: String) -> Failure { Failure(description: "\(text)\n\(logText)", includesLog: true) }

        // MARK: Waiting

        /// Waits for a condition. At the deadline, the error includes what the processes have said.
        func eventually(
            _ what: @autoclosure () -> String,
            within seconds: Double = 20,
            sourceLocation: SourceLocation = #_sourceLocation,
            _ condition: () throws -> Bool
        ) throws {
            do {
                try IntegrationTests.eventually(
                    what(), within: seconds, sourceLocation: sourceLocation, condition)
            } catch let error as Failure where !error.includesLog { throw failure(error.description) }
        }

        func waitForReport(_ line: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
            try eventually("the report \(line)", sourceLocation: sourceLocation) { reports.contains(line) }
        }

        func waitForLog(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
            try eventually("\"\(text)\" in the log", sourceLocation: sourceLocation) { standardError.contains(text) }
        }

        /// Waits for the error that a role's run has thrown.
        /// - Returns: its type and description.
        func thrownError(sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
            try eventually("the run throws", sourceLocation: sourceLocation) { !reports("threw").isEmpty }
            return reports("threw")[0]
        }

        /// The first line of the log that contains a text, once it is there.
        func logLine(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Substring {
            var found: Substring?
            try eventually("\"\(text)\" in the log", sourceLocation: sourceLocation) {
                found = logLines(text).first
                if found == nil, ProcessState(pid)?.isZombie != false {
                    throw Failure(description: "it ended before \"\(text)\" was in the log")
                }
                return found != nil
            }
            return found ?? ""
        }

        /// The port that the master reports, once it does.
        func port(sourceLocation: SourceLocation = #_sourceLocation) throws -> Int {
            let line = try logLine(": listening on ", sourceLocation: sourceLocation)
            guard let port = line.split(separator: ":").last.flatMap({ Int($0) }) else {
                throw failure("no port in \(line)")
            }
            return port
        }
    }
#endif
