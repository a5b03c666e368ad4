// TLS files for tests.
#if os(Linux)
    import PreforkLibc

    /// A self-signed certificate and its key, as far as the master reads them.
    struct TestIdentity {
        let directory: String
        var chain: String { "\(directory)/chain.pem" }
        var key: String { "\(directory)/key.pem" }

        init() throws {
            directory = try makeDirectory()
            try write("-----BEGIN CERTIFICATE-----\nMIIBszCCAVmg\n-----END CERTIFICATE-----\n", chain)
            try write("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----\n", key)
        }

        private func write(_ text: String, _ path: String) throws {
            guard let file = fopen(path, "we") else { throw Failure(description: "fopen \(path)") }
            fputs(text, file)
            fclose(file)
        }

        func remove() { removeTree(directory) }
    }
#endif
