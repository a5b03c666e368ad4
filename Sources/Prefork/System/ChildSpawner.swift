// posix_spawn(3) with a clean signal state and no descriptors but the planned ones.
import PreforkLibc

enum ChildSpawner {
    /// Starts a child. Its standard input is the file that `System.openNull` opens. Its output and error are those of
    /// this process, or the same file if this process has closed them. Its other descriptors are the plan's. Its signal
    /// mask is empty and its dispositions are the default, except those that the plan names. The mask and the
    /// dispositions of this thread have no effect on it.
    /// - Parameter enumerating: closes descriptors one by one, even if the system has a better way.
    /// - Returns: the child's process id.
    static func spawn(_ plan: SpawnPlan, enumerating: Bool) throws(SystemError) -> Int32 {
        for text in [plan.executable] + plan.arguments + plan.environment where text.hasNUL {
            throw SystemError(call: "posix_spawn", code: EINVAL, context: "\(text.text.debugDescription) with a NUL")
        }
        let actions = try FileActions()
        let attributes = try SpawnAttributes()
        try attributes.setCleanSignals(except: plan.ignoredSignals)
        let numbers = SpawnPlan.numbers(plan.descriptors.count)
        // Opened here because posix_spawn(3) would not say which of its file actions failed.
        let null = try System.move(try System.openNull(), atLeast: numbers.upperBound)
        try actions.inherit(null.raw, as: 0)
        // A closed descriptor would make the start fail, or its number would go to the first file that the child opens.
        for number in CInt(1)...2 { try actions.inherit(System.isOpen(number) ? number : null.raw, as: number) }
        // All sources are above all targets, so no copy overwrites a source that is still needed.
        for (source, target) in zip(plan.descriptors, numbers) { try actions.inherit(source, as: target) }
        try actions.closeAll(from: numbers.upperBound, enumerating: enumerating)

        if let directory = plan.directory { try actions.changeDirectory(directory) }

        var pid: pid_t = 0
        let code = withCStrings(plan.arguments) { arguments in
            withCStrings(plan.environment) { environment in
                withCStrings([plan.executable]) { path in
                    // Other threads cannot interfere: the kernel copies the descriptor table in one step. Descriptors
                    // that they open meanwhile are close-on-exec, or one of the actions closes them.
                    actions.withUnsafe { actions in
                        attributes.withUnsafe { attributes in
                            path[0].map { posix_spawn(&pid, $0, actions, attributes, arguments, environment) }
                                ?? ENOENT
                        }
                    }
                }
            }
        }
        null.close()
        try System.check("posix_spawn", code, plan.executable.text)
        return pid
    }
}
