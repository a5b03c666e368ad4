import Testing

@testable import Prefork

@Suite("Affinity") struct AffinityTests {
    @Test("gives each slot a processor, and starts over after the last one")
    func turns() {
        var whole = ProcessorSet()
        for number in [1, 63, 64, 200] { whole.words[number / 64] |= 1 << UInt64(number % 64) }
        #expect(whole.numbers == [1, 63, 64, 200])
        let affinity = Affinity(whole)
        #expect((0..<6).map { affinity.processors(of: $0).numbers } == [[1], [63], [64], [200], [1], [63]])
        #expect(affinity.processors(of: 2) == ProcessorSet(64))
    }

    @Test("without a processor gives none") func empty() {
        #expect(Affinity(ProcessorSet()).processors(of: 3) == ProcessorSet())
    }

    #if os(Linux)
        @Test("affects this thread alone, and is restored") func thread() throws {
            let before = try ProcessorSet.current()
            #expect(before.numbers.count == ProcessorCount.current().processors)
            let affinity = try Affinity()
            let thread = try Thread {
                let last = before.numbers.count - 1
                affinity.withProcessor(ofSlot: last, report: { Issue.record($0) }) {
                    #expect((try? ProcessorSet.current())?.numbers == [before.numbers[last]])
                }
                #expect((try? ProcessorSet.current()) == before)
            }
            thread.join()
            #expect(try ProcessorSet.current() == before)
        }
    #endif
}
