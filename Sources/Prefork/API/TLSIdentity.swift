extension Prefork {
    /// The certificate chain and private key of the children, in PEM (RFC 7468).
    ///
    /// The children run the same program with the same configuration, so they find this value in ``Child/tlsIdentity``
    /// and nothing is sent to them. Before it binds anything, the master checks that both texts are readable and
    /// contain certificates and a key. It does not check that they match, because Prefork has no cryptography.
    public enum TLSIdentity: Sendable, Hashable {
        /// Two files, or one file given twice that contains both. The master reads them for its check, and the program
        /// reads them again.
        case files(certificateChain: String, privateKey: String)
        /// Two PEM texts.
        case embedded(certificateChain: String, privateKey: String)

        /// - Throws: ``PreforkError/Code/invalidTLSIdentity``.
        func check() throws(PreforkError) {
            let chain: (name: String, text: String)
            let key: (name: String, text: String)
            switch self {
            case .files(let chainPath, let keyPath):
                chain = (
                    "the certificate chain \(quoted(chainPath))", try TLSIdentity.read(chainPath, "certificate chain")
                )
                key = ("the private key \(quoted(keyPath))", try TLSIdentity.read(keyPath, "private key"))
            case .embedded(let chainText, let keyText):
                chain = ("the embedded certificate chain", chainText)
                key = ("the embedded private key", keyText)
            }
            let chainLabels = try TLSIdentity.labels(chain.text, chain.name)
            let keyLabels = try TLSIdentity.labels(key.text, key.name)
            let chainFits = chainLabels.contains("CERTIFICATE")
            let keyFits = keyLabels.contains { $0.hasSuffix("PRIVATE KEY") }
            if !chainFits, !keyFits, keyLabels.contains("CERTIFICATE"),
                chainLabels.contains(where: { $0.hasSuffix("PRIVATE KEY") })
            {
                throw .invalidTLSIdentity("\(chain.name) and \(key.name) are exchanged")
            }
            if !chainFits {
                throw .invalidTLSIdentity(
                    "\(chain.name) holds no CERTIFICATE but \(chainLabels.joined(separator: ", "))"
                )
            }
            if !keyFits {
                throw .invalidTLSIdentity("\(key.name) holds no PRIVATE KEY but \(keyLabels.joined(separator: ", "))")
            }
        }

        private static func read(_ path: String, _ what: String) throws(PreforkError) -> String {
            do {
                return String(decoding: try System.readFile(path), as: UTF8.self)
            } catch {
                throw .invalidTLSIdentity("the \(what) cannot be read: \(error)")
            }
        }

        /// The labels of all blocks. Each block must have an end and contain base64.
        private static func labels(_ text: String, _ name: String) throws(PreforkError) -> [String] {
            var found: [String] = []
            var open: String?
            var lines = 0
            for line in text.split(whereSeparator: \.isNewline) {
                let line = trimmed(line)
                if let label = label(of: line, after: "-----BEGIN ") {
                    if let open { throw .invalidTLSIdentity("\(name) is broken PEM: \(open) has no end") }
                    open = label
                    lines = 0
                } else if let label = label(of: line, after: "-----END ") {
                    guard open == label, lines > 0 else {
                        throw .invalidTLSIdentity("\(name) is broken PEM: an end of \(label) without its beginning")
                    }
                    found.append(label)
                    open = nil
                } else if open != nil, !line.isEmpty {
                    // Old encrypted keys have headers ("Proc-Type: …").
                    guard line.contains(":") || line.utf8.allSatisfy(isBase64) else {
                        throw .invalidTLSIdentity("\(name) is broken PEM: a line that is no base64")
                    }
                    lines += 1
                }
            }
            if let open { throw .invalidTLSIdentity("\(name) is broken PEM: \(open) has no end") }
            if found.isEmpty { throw .invalidTLSIdentity("\(name) is not PEM: it has no BEGIN line") }
            return found
        }

        private static func label(of line: Substring, after prefix: String) -> String? {
            guard line.hasPrefix(prefix), line.hasSuffix("-----"), line.count > prefix.count + 5 else { return nil }
            return String(line.dropFirst(prefix.count).dropLast(5))
        }

        private static func trimmed(_ line: Substring) -> Substring {
            let start = line.drop { $0.isWhitespace }
            return start.lastIndex { !$0.isWhitespace }.map { start[...$0] } ?? ""
        }

        private static func isBase64(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="):
                true
            default: false
            }
        }
    }
}

extension Prefork.TLSIdentity: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// A text without the key, so that a log of the configuration does not publish it.
    public var description: String {
        switch self {
        case .files(let chain, let key): "TLS identity from \(chain) and \(key)"
        case .embedded: "TLS identity embedded in the program"
        }
    }

    /// The text of ``description``.
    public var debugDescription: String { description }

    /// A mirror without children, which shows no part of the key.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
