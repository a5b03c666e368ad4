import NIOSSL
import Prefork

extension Prefork.TLSIdentity {
    /// A server's TLS context with this certificate chain and key. `adjust` may change the rest of the configuration.
    ///
    /// The master has checked before it bound that both are there and PEM. What only a library with cryptography
    /// sees, a key that does not fit the certificate above all, is thrown here as
    /// ``PreforkError/invalidTLSIdentity(_:)``: a child that passes it on leaves with status 78, which ends the
    /// fleet, for another try would end the same way.
    public func serverContext(
        _ adjust: (inout TLSConfiguration) -> Void = { _ in }
    ) throws(PreforkError) -> NIOSSLContext {
        var configuration = try serverConfiguration()
        adjust(&configuration)
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch NIOSSLError.failedToLoadPrivateKey {
            throw .invalidTLSIdentity(
                "certificate chain and private key do not go together (the server's own certificate comes first)")
        } catch {
            throw .invalidTLSIdentity("the TLS configuration is refused: \(error)")
        }
    }

    /// The same for a library that makes its contexts itself. Whether chain and key go together it does not tell.
    ///
    /// A client that does not answer the end of TLS is waited for one second, not SwiftNIO's five: at a stop each
    /// idle connection would take a whole `shutdown.gracePeriod`.
    public func serverConfiguration() throws(PreforkError) -> TLSConfiguration {
        let chain: [NIOSSLCertificate]
        let key: NIOSSLPrivateKey
        switch self {
        case .files(let chainPath, let keyPath):
            chain = try Self.valid("the certificate chain \"\(chainPath)\"") {
                try NIOSSLCertificate.fromPEMFile(chainPath)
            }
            key = try Self.valid("the private key \"\(keyPath)\"") {
                try NIOSSLPrivateKey(file: keyPath, format: .pem)
            }
        case .embedded(let chainText, let keyText):
            chain = try Self.valid("the embedded certificate chain") {
                try NIOSSLCertificate.fromPEMBytes(Array(chainText.utf8))
            }
            key = try Self.valid("the embedded private key") {
                try NIOSSLPrivateKey(bytes: Array(keyText.utf8), format: .pem)
            }
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.shutdownTimeout = .seconds(1)
        return configuration
    }

    private static func valid<Value>(_ what: String, _ body: () throws -> Value) throws(PreforkError) -> Value {
        do {
            return try body()
        } catch NIOSSLError.failedToLoadPrivateKey {
            throw .invalidTLSIdentity("\(what) is encrypted, malformed or of an unknown kind")
        } catch {
            throw .invalidTLSIdentity("\(what): \(error)")
        }
    }
}
