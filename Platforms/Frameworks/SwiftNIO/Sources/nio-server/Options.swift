import ExampleSupport  // the command line
import Foundation
import Prefork

/// The command line.
struct Options: ParsableCommand {
    static var configuration: CommandConfiguration { ExampleOptions.configuration }

    @OptionGroup var common: ExampleOptions

    @Option(name: .customLong("tls-chain"), help: ArgumentHelp("HTTPS: the certificate chain.", valueName: "file"))
    var chain: String?

    @Option(name: .customLong("tls-key"), help: ArgumentHelp("HTTPS: its private key.", valueName: "file"))
    var key: String?

    @Flag(
        name: .customLong("tls-embedded"),
        help: "Hand over the files' contents, as a program would whose certificate is built in.")
    var isEmbedded = false

    func validate() throws {
        guard (chain == nil) == (key == nil), !isEmbedded || chain != nil else {
            throw ValidationError("--tls-chain and --tls-key belong together, and --tls-embedded to them")
        }
    }

    /// What the options say.
    /// - Throws: where a file that is to be embedded cannot be read.
    func configuration() throws -> Prefork.Configuration {
        var configuration = common.configuration
        configuration.readiness.mode = .explicit  // A child is ready when SwiftNIO accepts.
        if let chain, let key {
            configuration.tlsIdentity =
                isEmbedded
                ? .embedded(
                    certificateChain: try String(contentsOfFile: chain, encoding: .utf8),
                    privateKey: try String(contentsOfFile: key, encoding: .utf8))
                : .files(certificateChain: chain, privateKey: key)
        }
        return configuration
    }
}
