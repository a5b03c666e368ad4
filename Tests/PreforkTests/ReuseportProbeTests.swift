import Testing

@testable import Prefork

@Suite("The probe for SO_REUSEPORT") struct ReuseportProbeTests {
    private static let refusal = SystemError(
        call: "setsockopt", code: 92, context: "SO_REUSEPORT", message: "not available")

    @Test("draws the right conclusion from each observation")
    func outcomes() {
        func outcome(_ observation: ReuseportProbe.Observation, spreads: Bool = true) -> ReuseportProbe.Outcome {
            ReuseportProbe.outcome(observation, spreads: spreads)
        }
        for spreads in [true, false] {
            #expect(outcome(.connected(first: 1, second: 3), spreads: spreads) == .shardable)
            #expect(
                outcome(.refused(Self.refusal), spreads: spreads)
                    == .notShardable(reason: "two sockets cannot listen on one address: \(Self.refusal)"))
            for (first, second) in [(64, 0), (0, 64)] {
                #expect(
                    outcome(.connected(first: first, second: second), spreads: spreads)
                        == .notShardable(reason: "connections are not spread over two sockets: of 64 one got all"))
            }
        }
        #expect(outcome(.unreachable(Self.refusal), spreads: true) == .shardable)
        #expect(
            outcome(.unreachable(Self.refusal), spreads: false)
                == .notShardable(
                    reason: "cannot probe whether connections are spread over two sockets: \(Self.refusal)"))
    }

    #if os(Linux)
        @Test("sees that Linux spreads connections")
        func here() throws {
            for _ in 0..<20 {
                guard case .connected(let first, let second) = ReuseportProbe.observe() else {
                    Issue.record("\(ReuseportProbe.observe())")
                    return
                }
                #expect(first > 0 && second > 0)
                #expect(first + second <= 64)
            }
            #expect(try ReuseportProbe.run() == .shardable)
        }
    #endif
}
