import Foundation
import Hummingbird
import Logging
import Metrics
import NIOCore
import Prefork
import ServiceLifecycle

/// Names of all modules in one file, none of them qualified.
struct Everything: Service {
    let fleet: Prefork
    let logger: Logger
    let restarts: Counter
    let group: any EventLoopGroup

    init(listening address: Prefork.Address, with group: any EventLoopGroup) {
        var configuration = Prefork.Configuration(children: 2)
        configuration.sockets.mode = .shared
        configuration.readiness.mode = .explicit
        let restarts = Counter(label: "restarts")
        let logger = Logger(label: "everything")
        configuration.observe = { event in
            if event.code == .exited, event.consequence?.code == .recovering, let exit = event.exit {
                restarts.increment()
                logger.info("child exited", metadata: ["slot": "\(exit.slot)"])
            }
        }
        self.fleet = Prefork(address, configuration: configuration)
        self.logger = logger
        self.restarts = restarts
        self.group = group
    }

    func run() async throws {
        let logger = logger
        try await withGracefulShutdownHandler {
            do {
                try await fleet.run { child in try await serve(child, logger) }
            } catch let error as PreforkError {
                logger.error("fleet failed", metadata: ["status": "\(error.exitStatus)"])
                throw error
            }
        } onGracefulShutdown: {
            fleet.stop()
        }
    }

    private func serve(_ child: Prefork.Child, _ logger: Logger) async throws {
        let descriptor: NIOBSDSocket.Handle = try child.takeListener()
        let buffer: ByteBuffer = ByteBufferAllocator().buffer(capacity: 16)
        let address: SocketAddress = try SocketAddress(ipAddress: "127.0.0.1", port: 80)
        let router: Router<BasicRequestContext> = Router()
        router.get("/") { (_: Request, _: BasicRequestContext) -> Response in
            Response(status: .ok, headers: [:], body: ResponseBody(byteBuffer: buffer))
        }
        let environment: Environment = Environment()
        let status: Prefork.Status = fleet.status
        logger.debug("\(descriptor) \(address) \(environment) \(status)")
        child.ready()
        await child.stopRequested()
    }
}
