import Testing

@testable import Prefork

@Suite("The limit of descriptors") struct DescriptorLimitTests {
    @Test("is reported before a fleet passes it")
    func arithmetic() {
        // 10 are open, 100 slots with 2 addresses, a channel and a watch; 4 decoys with 8 clients; 16 in
        // reserve.
        #expect(DescriptorLimit.fault(addresses: 2, children: 100, open: 10, limit: 438) == nil)
        #expect(
            DescriptorLimit.fault(addresses: 2, children: 100, open: 10, limit: 437)
                == "100 slots need 438 descriptors, and this process may have 437 (RLIMIT_NOFILE)")
    }

    @Test("allows a few children here")
    func here() {
        #expect(DescriptorLimit.fault(addresses: 1, children: 2) == nil)
        #expect(DescriptorLimit.fault(addresses: 1, children: Int(Int32.max)) != nil)
    }
}
