import Testing

@testable import Prefork

/// The quota that is found if only these files exist.
private func quota(_ files: [String: String]) -> Double? { CgroupQuota.find { files[$0] } }

private let cgroupTwo = "31 23 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
private let otherMounts = """
    22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw,discard
    23 22 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
    24 22 0:22 / /proc rw - proc proc rw
    25 23 0:23 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755

    """
private let versionOne = """
    32 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct
    33 25 0:30 / /sys/fs/cgroup/cpuset rw,nosuid shared:11 - cgroup cgroup rw,cpuset
    34 25 0:31 / /sys/fs/cgroup/systemd rw,nosuid shared:12 - cgroup cgroup rw,xattr,name=systemd

    """

@Suite struct CgroupQuotaTests {
    // MARK: Version 2

    @Test func containerWithNamespace() {
        let files = [
            "/proc/self/cgroup": "0::/\n",
            "/proc/self/mountinfo": otherMounts + cgroupTwo,
            "/sys/fs/cgroup/cpu.max": "150000 100000\n",
        ]
        #expect(quota(files) == 1.5)
    }

    @Test func tighterParentBinds() {
        var files = [
            "/proc/self/cgroup": "0::/kubepods.slice/pod1.slice/container.scope\n",
            "/proc/self/mountinfo": otherMounts + cgroupTwo,
            "/sys/fs/cgroup/kubepods.slice/pod1.slice/container.scope/cpu.max": "400000 100000\n",
            "/sys/fs/cgroup/kubepods.slice/pod1.slice/cpu.max": "200000 100000\n",
            "/sys/fs/cgroup/kubepods.slice/cpu.max": "800000 100000\n",
        ]
        #expect(quota(files) == 2)
        files["/sys/fs/cgroup/kubepods.slice/cpu.max"] = "50000 100000\n"
        #expect(quota(files) == 0.5)
        files["/sys/fs/cgroup/kubepods.slice/pod1.slice/container.scope/cpu.max"] = "20000 100000\n"
        #expect(quota(files) == 0.2)
    }

    @Test func quotaOnTheSliceOfASystemdService() {
        let files = [
            "/proc/self/cgroup": "0::/system.slice/app.service\n",
            "/proc/self/mountinfo": otherMounts + cgroupTwo,
            "/sys/fs/cgroup/system.slice/app.service/cpu.max": "max 100000\n",
            "/sys/fs/cgroup/system.slice/cpu.max": "300000 100000\n",
        ]
        #expect(quota(files) == 3)
    }

    @Test func maxIsNoQuota() {
        let files = [
            "/proc/self/cgroup": "0::/app\n",
            "/proc/self/mountinfo": cgroupTwo,
            "/sys/fs/cgroup/app/cpu.max": "max 100000\n",
        ]
        #expect(quota(files) == nil)
    }

    @Test func siblingsDoNotBind() {
        let files = [
            "/proc/self/cgroup": "0::/app\n",
            "/proc/self/mountinfo": cgroupTwo,
            "/sys/fs/cgroup/app/cpu.max": "300000 100000\n",
            "/sys/fs/cgroup/application/cpu.max": "100000 100000\n",
            "/sys/fs/cgroup/app/child/cpu.max": "100000 100000\n",
            "/cpu.max": "100000 100000\n",
        ]
        #expect(quota(files) == 3)
    }

    @Test func mountPointIsUnescaped() {
        let files = [
            "/proc/self/cgroup": "0::/app\n",
            "/proc/self/mountinfo":
                #"31 23 0:28 / /mnt/c\040g\134roup\012x rw shared:4 master:2 - cgroup2 cgroup2 rw"#,
            "/mnt/c g\\roup\nx/app/cpu.max": "250000 100000\n",
        ]
        #expect(quota(files) == 2.5)
    }

    /// The group lies outside of the namespace. Its path cannot be followed, but the mount itself still counts.
    @Test(arguments: ["0::/../..", "0::/..", "0::/../other/app"])
    func pathOutsideOfTheNamespace(line: String) {
        let files = [
            "/proc/self/cgroup": "\(line)\n",
            "/proc/self/mountinfo": cgroupTwo,
            "/sys/fs/cgroup/cpu.max": "200000 100000\n",
            "/sys/fs/cgroup/other/app/cpu.max": "100000 100000\n",
            "/sys/fs/cgroup/../../cpu.max": "100000 100000\n",
            "/sys/fs/cgroup/../cpu.max": "100000 100000\n",
        ]
        #expect(quota(files) == 2)
    }

    // MARK: Version 1

    private func legacyFiles(_ group: String, quota: String, period: String = "100000\n") -> [String: String] {
        [
            "/proc/self/cgroup": "3:cpu,cpuacct:\(group)\n2:cpuset:/tight\n1:name=systemd:/\n",
            "/proc/self/mountinfo": otherMounts + versionOne,
            "/sys/fs/cgroup/cpu,cpuacct\(group)/cpu.cfs_quota_us": quota,
            "/sys/fs/cgroup/cpu,cpuacct\(group)/cpu.cfs_period_us": period,
        ]
    }

    @Test func controllersThatShareAMount() {
        #expect(quota(legacyFiles("/app", quota: "250000\n")) == 2.5)
        #expect(quota(legacyFiles("/app", quota: "250000\n", period: "50000\n")) == 5)
    }

    @Test func minusOneIsNoQuota() {
        #expect(quota(legacyFiles("/app", quota: "-1\n")) == nil)
    }

    @Test func parentOfVersionOneBinds() {
        var files = legacyFiles("/app", quota: "-1\n")
        files["/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"] = "70000\n"
        files["/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us"] = "100000\n"
        #expect(quota(files) == 0.7)
    }

    /// Docker on v1. /proc/self/cgroup shows the host's path, and the mount shows only the container's part of it.
    @Test func dockerWithoutNamespace() {
        var files = [
            "/proc/self/cgroup": "4:cpu,cpuacct:/docker/0123abcd\n1:name=systemd:/docker/0123abcd\n",
            "/proc/self/mountinfo": otherMounts + """
                700 690 0:29 /docker/0123abcd /sys/fs/cgroup/cpu,cpuacct ro master:14 - cgroup cgroup rw,cpu,cpuacct

                """,
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "120000\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        ]
        #expect(quota(files) == 1.2)

        files["/proc/self/cgroup"] = "4:cpu,cpuacct:/docker/0123abcd/inner\n"
        files["/sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_quota_us"] = "60000\n"
        files["/sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_period_us"] = "100000\n"
        #expect(quota(files) == 0.6)

        // Not a part of the mount's root, though its beginning is the same.
        files["/proc/self/cgroup"] = "4:cpu,cpuacct:/docker/0123abcdef/inner\n"
        files["/sys/fs/cgroup/cpu,cpuacct/ef/inner/cpu.cfs_quota_us"] = "30000\n"
        files["/sys/fs/cgroup/cpu,cpuacct/ef/inner/cpu.cfs_period_us"] = "100000\n"
        #expect(quota(files) == 1.2)
    }

    @Test func hybrid() {
        let files = [
            "/proc/self/cgroup": "3:cpu,cpuacct:/app\n1:name=systemd:/app\n0::/app\n",
            "/proc/self/mountinfo": otherMounts + versionOne
                + "35 25 0:32 / /sys/fs/cgroup/unified rw shared:13 - cgroup2 cgroup2 rw\n",
            "/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us": "350000\n",
            "/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us": "100000\n",
            "/sys/fs/cgroup/unified/app/cgroup.controllers": "\n",
            // There are no such files. The mount of another controller must not be read.
            "/sys/fs/cgroup/cpuset/app/cpu.cfs_quota_us": "10000\n",
            "/sys/fs/cgroup/cpuset/app/cpu.cfs_period_us": "100000\n",
        ]
        #expect(quota(files) == 3.5)
    }

    @Test func controllerIsFoundByItsNameNotByItsBeginning() {
        let files = [
            "/proc/self/cgroup": "2:cpuset:/app\n1:cpuacct:/app\n",
            "/proc/self/mountinfo": otherMounts + versionOne,
            "/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us": "100000\n",
            "/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us": "100000\n",
        ]
        #expect(quota(files) == nil)
    }

    // MARK: Missing and malformed files

    @Test func withoutProc() {
        #expect(quota([:]) == nil)
        #expect(quota(["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "100000 100000\n"]) == nil)
        #expect(quota(["/proc/self/mountinfo": cgroupTwo, "/sys/fs/cgroup/cpu.max": "100000 100000\n"]) == nil)
    }

    @Test(arguments: [
        "", "\n", "x", "100000", "100000\n", "100000 100000 100000", "a b", "max max", "0 100000", "100000 0",
        "-100000 100000", "100000 -100000", "nan nan", "inf inf", "inf 100000", "100000 inf", "\0\0\0",
        "99999999999999999999 100000",
    ])
    func garbageInTheQuota(text: String) {
        let files = ["/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": cgroupTwo, "/sys/fs/cgroup/cpu.max": text]
        #expect(quota(files) == nil)
        #expect(ProcessorCount(processors: 8, quota: quota(files)).allowed == 8)
    }

    @Test(arguments: ["", "x\n", "100000 1\n", "0\n", "inf\n", "nan\n"])
    func garbageInAFileOfVersionOne(text: String) {
        let broken = legacyFiles("/app", quota: text)
        if text != "100000 1\n" { #expect(quota(broken) == nil) }
        #expect(quota(legacyFiles("/app", quota: "100000\n", period: text)) == (text == "100000 1\n" ? 1 : nil))
    }

    @Test(arguments: ["", "\n", "garbage", "0", "0:", ":::", "0::", "7:cpu", "-", "0::/app"])
    func garbageInTheMemberships(text: String) {
        let files = ["/proc/self/cgroup": text, "/proc/self/mountinfo": otherMounts + versionOne + cgroupTwo]
        #expect(quota(files) == nil)
    }

    @Test(arguments: [
        "", "\n", "garbage", "-", " - ", "- - -", "31 23 0:28 / - cgroup2 cgroup2 rw",
        "31 23 0:28 / /sys/fs/cgroup rw - cgroup2", "31 23 0:28 / /sys/fs/cgroup rw cgroup2 cgroup2 rw",
        #"31 23 0:28 / /sys\9\04 rw - cgroup2 cgroup2 rw"#,
    ])
    func garbageInTheMounts(text: String) {
        let files = [
            "/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": text,
            "/sys/fs/cgroup/cpu.max": "100000 100000\n",
        ]
        #expect(quota(files) == nil)
    }
}

@Suite struct ProcessorCountTests {
    @Test(
        arguments: [
            (8, nil, 8), (8, 1.5, 2), (8, 0.3, 1), (8, 1.0, 1), (8, 2.0, 2), (8, 2.001, 3), (8, 7.5, 8), (8, 8.0, 8),
            (8, 64.0, 8), (1, 4.0, 1), (8, 1e300, 8), (8, Double.infinity, 8), (0, nil, 1), (-1, nil, 1), (0, 2.0, 1),
        ] as [(Int, Double?, Int)]
    )
    func quotaIsRoundedUp(processors: Int, quota: Double?, allowed: Int) {
        #expect(ProcessorCount(processors: processors, quota: quota).allowed == allowed)
    }

    @Test func thisProcessMayUseAtLeastOne() {
        let count = ProcessorCount.current()
        #expect(count.processors >= 1)
        #expect(count.allowed >= 1)
        #expect(count.allowed <= count.processors)
    }
}

@Suite struct ResolvedChildrenTests {
    private func resolved(_ children: Int?, _ variable: String?, allowed: Int = 6) throws -> [Int?] {
        let (count, exceeds) = try Prefork.Configuration(children: children)
            .resolvedChildren(variable: variable, allowed: allowed)
        return [count, exceeds]
    }

    @Test(arguments: [nil, "", "auto"])
    func defaultIsWhatIsAllowed(variable: String?) throws {
        #expect(try resolved(nil, variable) == [6, nil])
    }

    /// Only an explicit number above the limit is reported, not one of the variable.
    @Test(arguments: [("4", 4), ("1", 1), ("4096", 4096), ("007", 7)])
    func variableReplacesTheDefault(variable: String, count: Int) throws {
        #expect(try resolved(nil, variable) == [count, nil])
    }

    @Test(arguments: ["-1", "abc", "4097", "+3", " 4", "4 ", "3.5", "AUTO", "٣", "99999999999999999999"])
    func badVariable(variable: String) {
        let error = failure { () throws(PreforkError) in
            try Prefork.Configuration().resolvedChildren(variable: variable, allowed: 6)
        }
        #expect(
            error?.description
                == "invalid WEB_CONCURRENCY: \"\(variable)\" is neither a number in 1...4096 nor \"auto\""
        )
        #expect(error?.exitStatus == 78)
    }

    /// Puma and others serve without workers then.
    @Test func zeroSaysWhatToSet() {
        let error = failure { () throws(PreforkError) in
            try Prefork.Configuration().resolvedChildren(variable: "0", allowed: 6)
        }
        #expect(
            error?.description
                == "invalid WEB_CONCURRENCY: \"0\" is neither a number in 1...4096 nor \"auto\"; "
                + "set 1 for a single child, or unset it for one per processor")
        #expect(error?.exitStatus == 78)
    }

    @Test(arguments: ["4", "abc", "", "0"])
    func explicitNumberWins(variable: String) throws {
        #expect(try resolved(2, variable) == [2, nil])
    }

    @Test func explicitNumberAboveTheAllowedIsReported() throws {
        #expect(try resolved(6, nil) == [6, nil])
        #expect(try resolved(7, nil) == [7, 6])
        #expect(try resolved(4096, "auto") == [4096, 6])
    }

    @Test(arguments: [0, -1, 4097, Int.max, Int.min])
    func badExplicitNumber(children: Int) {
        let error = failure { () throws(PreforkError) in
            try Prefork.Configuration(children: children).resolvedChildren(variable: "4", allowed: 6)
        }
        #expect(error?.description == "invalid children: \(children) is not in 1...4096")
    }
}
