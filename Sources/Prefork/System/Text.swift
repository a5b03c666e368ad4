extension [String] {
    /// As `joined(separator:)`, for what each master does: for that one the runtime looks through all conformances of all
    /// libraries, and their pages stay resident.
    func concatenated(separator: String) -> String {
        var text = first ?? ""
        for part in dropFirst() { text += separator + part }
        return text
    }
}
