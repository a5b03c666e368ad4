#if os(Linux)
    import Testing

    /// Every test that starts processes. They run one after the other, because they share the processors and the clock.
    @Suite(.serialized) enum Integration {}
#endif
