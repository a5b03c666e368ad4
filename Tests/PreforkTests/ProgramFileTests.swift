#if os(Linux)
    import PreforkLibc
    import Testing

    @testable import Prefork

    private func texts(_ strings: [CString]) -> [String] { strings.map(\.text) }

    @Suite("without /proc, the program's file") struct ProgramFileTests {
        @Test("is first what the kernel was told, then what the first argument names")
        func candidates() {
            let found = ProgramFile.candidates(
                executed: CString("/opt/app"), name: CString("./app"), searchPath: "/bin:/usr/bin")
            #expect(texts(found) == ["/opt/app", "./app"])
        }

        @Test("is looked for in PATH if the first argument has no slash")
        func searchPath() {
            let found = ProgramFile.candidates(executed: nil, name: CString("app"), searchPath: "/bin::/usr/bin")
            #expect(texts(found) == ["/bin/app", "./app", "/usr/bin/app"])
        }

        @Test("has no candidate if nothing is known or the program has no name")
        func nothing() {
            #expect(ProgramFile.candidates(executed: nil, name: nil, searchPath: "/bin").isEmpty)
            #expect(ProgramFile.candidates(executed: nil, name: CString(""), searchPath: "/bin").isEmpty)
        }

        @Test("is a program at an absolute path, also if a relative path led to it")
        func absolute() throws {
            try withTemporaryDirectory { directory in
                let (program, text) = ("\(directory)/program", "\(directory)/text")
                try writeFile(program, "")
                try writeFile(text, "")
                try #require(chmod(program, 0o700) == 0)
                try #require(symlink(program, "\(directory)/link") == 0)
                let resolved = ProgramFile.absolute(CString("\(directory)/./link"))
                #expect(resolved == ProgramFile.absolute(CString(program)))
                #expect(resolved?.text.hasSuffix("/program") == true)
                #expect(ProgramFile.absolute(CString(directory)) == nil, "a directory may be entered, not executed")
                #expect(ProgramFile.absolute(CString(text)) == nil, "it has no execute permission")
                #expect(ProgramFile.absolute(CString("\(directory)/nobody")) == nil)
                #expect(ProgramFile.absolute(CString(bytes: [47, 0, 98])) == nil, "a NUL would cut the path")
            }
        }

        @Test("has the path that it had before it was replaced") func replaced() throws {
            #expect(ProgramFile.withoutMark("/nowhere/app (deleted)") == "/nowhere/app")
            #expect(ProgramFile.withoutMark("/nowhere/app") == "/nowhere/app")
            try withTemporaryDirectory { directory in
                let odd = "\(directory)/app (deleted)"
                try writeFile(odd, "")
                #expect(ProgramFile.withoutMark(odd) == odd, "it may be called so")
            }
        }

        @Test("is the file that is mapped at its headers") func mapped() {
            let maps = """
                55c0-55d0 r--p 00000000 fe:00 42                         /opt/my app
                7f00-7f10 rw-p 00000000 00:00 0
                7f10-7f20 r-xp 00000000 fe:00 43                         /lib/ld-linux.so.2
                7f20-7f30 r--p 00000000 fe:00 44                         /a\\012b
                7f30-7f40 rw-p 00000000 00:00 0                          [heap]
                """
            #expect(ProgramFile.path(mappedAt: 0x55c0, in: maps) == "/opt/my app")
            #expect(ProgramFile.path(mappedAt: 0x55cf, in: maps) == "/opt/my app")
            #expect(ProgramFile.path(mappedAt: 0x7f1f, in: maps) == "/lib/ld-linux.so.2")
            for address in [0x55d0, 0x7f00, 0x7f20, 0x7f30, 0] as [UInt] {
                #expect(ProgramFile.path(mappedAt: address, in: maps) == nil)
            }
        }

        @Test("is the program of this process") func ownExecutable() throws {
            let executed = try #require(HiddenSymbols.executedPath())
            let path = try #require(ProgramFile.absolute(executed))
            #expect(path.text == ProgramFile.linkedPath())
            #expect(path.text == ProgramFile.startedPath)
            #expect(!ProgramFile.isProcMissing)
            #expect(try ProgramFile.path().text == "/proc/self/exe")
        }
    }

    @Suite("without /proc, the arguments") struct InitialArgumentsTests {
        @Test("are the same, read from the stack") func fromTheStack() {
            let initial = ProcessArguments.initial()
            #expect(!initial.isEmpty)
            #expect(initial == ProcessArguments.own)
            #expect(Prefork.arguments == CommandLine.arguments)
        }
    }
#endif
