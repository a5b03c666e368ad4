/// The descriptors of a handover, with numbers that are not those of the children's. Nothing is closed before all have
/// one, so that a shortage loses nothing.
struct Relocation {
    private var numbers: [CInt: CInt] = [:]

    init(_ descriptors: [CInt], atLeast lowest: CInt) throws(SystemError) {
        do throws(SystemError) {
            for number in descriptors where number < lowest {
                numbers[number] = try System.duplicate(number, atLeast: lowest).release()
            }
        } catch {
            for copy in numbers.values { Descriptor(copy).close() }
            throw error
        }
        for number in numbers.keys { Descriptor(number).close() }
    }

    /// The number that a descriptor has now.
    func number(_ old: CInt) -> CInt { numbers[old] ?? old }
}
