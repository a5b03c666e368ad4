import Testing

@testable import Prefork

// Made for these tests. The keys are used nowhere.
private let certificate = """
    -----BEGIN CERTIFICATE-----
    MIIBfzCCASWgAwIBAgIUKx5odFobX4cX/VH6o1dcWUOiotgwCgYIKoZIzj0EAwIw
    FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTAwMDg0MloYDzIxMjYxMDI4
    MDAwODQyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
    PQMBBwNCAASaQiHFUZpkAloWM465zygewV+V9W3G9UresTUJnoeVfQllVCETdUWW
    RV0C2srw6BDN9hQErxx46n7WvxJcjeg8o1MwUTAdBgNVHQ4EFgQUC6dkIaS2AJwO
    26K9cdWXsG7y/u4wHwYDVR0jBBgwFoAUC6dkIaS2AJwO26K9cdWXsG7y/u4wDwYD
    VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAgGmOC+J1zEkKLlpWvpJr
    7IMmkLzYv6Eg0ES9uZ1cl7YCIBDLC2/1hIQ7QBqlWfz2coTry+ZmLWlXxs3hnzJL
    G4c0
    -----END CERTIFICATE-----
    """

/// With the curve in a block of its own, as `openssl ecparam -genkey` writes it.
private let ecKey = """
    -----BEGIN EC PARAMETERS-----
    BggqhkjOPQMBBw==
    -----END EC PARAMETERS-----
    -----BEGIN EC PRIVATE KEY-----
    MHcCAQEEIFJqJVXQgwFtUxbrdyGR+VciTbGVTlBzJMLY8pnqHZ3aoAoGCCqGSM49
    AwEHoUQDQgAEmkIhxVGaZAJaFjOOuc8oHsFflfVtxvVK3rE1CZ6HlX0JZVQhE3VF
    lkVdAtrK8OgQzfYUBK8ceOp+1r8SXI3oPA==
    -----END EC PRIVATE KEY-----
    """

private let plainKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUmolVdCDAW1TFut3
    IZH5VyJNsZVOUHMkwtjymeodndqhRANCAASaQiHFUZpkAloWM465zygewV+V9W3G
    9UresTUJnoeVfQllVCETdUWWRV0C2srw6BDN9hQErxx46n7WvxJcjeg8
    -----END PRIVATE KEY-----
    """

private let encryptedKey = """
    -----BEGIN ENCRYPTED PRIVATE KEY-----
    MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhMqKCdQ1zCPwICCAAw
    DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEECbRKmWvMhfzkgJLhUg4d54EgZDm
    hm9n0/c0etzFbFFWq+brWtdHNLkiTRSwsc5xf5ZfbDpIfkAuQ1KKXbeGBUulJPHu
    IZ0F5cJn99/13sRQcP/Nhpta1axO+ONYdCWYNNSHpcmndGhRl5rLfHe8AcUrOwKw
    PjINy2cXVdQBwXlGTCmKi2l/qhPN/3ZYZpYN8chONWCVmaT5ygs6LkcRboZvL6s=
    -----END ENCRYPTED PRIVATE KEY-----
    """

/// With headers in the block, as older versions of OpenSSL write an encrypted key.
private let legacyKey = """
    -----BEGIN RSA PRIVATE KEY-----
    Proc-Type: 4,ENCRYPTED
    DEK-Info: AES-128-CBC,986EC478BC02BA1A15FF5A1C2670BFC5

    kW52tPvLy3u0ClEzoiib1Fa6puGuHJNvg85m/GLXOU1MyBcpjNk0wJxWaPMUrtyU
    zwuykYgXGTyW5PdIoBxAXm6ipCCsS+86IUEULE4BMGOzTQSvv/aGRMOEiF1viGKF
    JxyBqREIPSrS8bXXwll359bVnUG0DknDG7TW638uJJOlIDUhwtvylCn8A/tr+ffX
    6OU/M8SUQi9JREqaM5EWpDxKOaHzBC/VdGtyL/wi4zko3Lwn4guNz0n6uSrQKaZy
    pd77FKX0cYcao+9yfJIIV27yWDYbrS0GGMRBhPz3J0341oKjrcjN2nAGeDNDgJjb
    neePn62UbYqhUQ7xiqM7m13GmvuV+JpD8eyRN1QhLHX7rM5iyyiAFrQhOuUi1gV4
    +4fIWoGOseau10I85p+rh7xQd+sW2rNIfykndeqQjtFR4i05CMsxjEEV6nl9b+eV
    P4yLDqJDNVCkTUDxOPA28CaIpJLYuDfAVeey3yf8odWVvQojE7KqFiYFPsOneCM9
    CPoG4Kq0BiCAnscXarZAZPl+jfp8EK+EcFAEGilWwzYQtcuUXHtbnMRJOPchj2jM
    xk8ZbXWLm4RyEoggyMXJNo8L+EM5u2H9YTGVOV1dER2wmVqyogmSLL+MZbZGfj6e
    dMZTWuX+viKM8chvEaZMjedFRDo/mWe3qEgWd8lqzXu2k8L1/SZ+z4GXR/Zi+1Qy
    0X42vIJRYfH9lm9i81x5NwwfS4ErAkKUTsOoyuhNJk1UCdAxUio5hKYP4L3ozsyF
    qvHFjcqXFUdwPbUoHhCceK/s4XgLwgQnq3Fp/4upRB+lqGPxkyi1prA5DwGfL3nH
    -----END RSA PRIVATE KEY-----
    """

private let request = """
    -----BEGIN CERTIFICATE REQUEST-----
    MIHOMHYCAQAwFDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZI
    zj0DAQcDQgAEmkIhxVGaZAJaFjOOuc8oHsFflfVtxvVK3rE1CZ6HlX0JZVQhE3VF
    lkVdAtrK8OgQzfYUBK8ceOp+1r8SXI3oPKAAMAoGCCqGSM49BAMCA0gAMEUCIGkb
    QXIWAlWoI3p12qeH2Vi5magb8dTo66m29Wtm55G/AiEA5GcJZlOtbgXhXADmo3eF
    uSRz9ZFvWFAJPJv5VeaebF4=
    -----END CERTIFICATE REQUEST-----
    """

private let publicKey = """
    -----BEGIN PUBLIC KEY-----
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEmkIhxVGaZAJaFjOOuc8oHsFflfVt
    xvVK3rE1CZ6HlX0JZVQhE3VFlkVdAtrK8OgQzfYUBK8ceOp+1r8SXI3oPA==
    -----END PUBLIC KEY-----
    """

private struct Refusal: Sendable, CustomTestStringConvertible {
    let chain: String
    let key: String
    let reason: String

    init(_ chain: String, _ key: String, _ reason: String) {
        self.chain = chain
        self.key = key
        self.reason = reason
    }

    var testDescription: String { reason }
}

private let refusals: [Refusal] = [
    Refusal("", plainKey, "the embedded certificate chain is not PEM: it has no BEGIN line"),
    Refusal("\n\n", plainKey, "the embedded certificate chain is not PEM: it has no BEGIN line"),
    Refusal("certificate", plainKey, "the embedded certificate chain is not PEM: it has no BEGIN line"),
    Refusal("\u{30}\u{82}\0\u{1}", plainKey, "the embedded certificate chain is not PEM: it has no BEGIN line"),
    Refusal(certificate, "", "the embedded private key is not PEM: it has no BEGIN line"),
    Refusal(certificate, "secret", "the embedded private key is not PEM: it has no BEGIN line"),
    Refusal(
        plainKey,
        certificate,
        "the embedded certificate chain and the embedded private key are exchanged"
    ),
    Refusal(ecKey, certificate, "the embedded certificate chain and the embedded private key are exchanged"),
    Refusal(
        request,
        plainKey,
        "the embedded certificate chain holds no CERTIFICATE but CERTIFICATE REQUEST"
    ),
    Refusal(plainKey, plainKey, "the embedded certificate chain holds no CERTIFICATE but PRIVATE KEY"),
    Refusal(ecKey, ecKey, "the embedded certificate chain holds no CERTIFICATE but EC PARAMETERS, EC PRIVATE KEY"),
    Refusal(certificate, certificate, "the embedded private key holds no PRIVATE KEY but CERTIFICATE"),
    Refusal(certificate, request, "the embedded private key holds no PRIVATE KEY but CERTIFICATE REQUEST"),
    Refusal(certificate, publicKey, "the embedded private key holds no PRIVATE KEY but PUBLIC KEY"),
    Refusal(
        String(certificate.dropLast(30)),
        plainKey,
        "the embedded certificate chain is broken PEM: CERTIFICATE has no end"
    ),
    Refusal(
        "\(certificate)\n\(certificate.dropLast(40))",
        plainKey,
        "the embedded certificate chain is broken PEM: CERTIFICATE has no end"
    ),
    Refusal(
        certificate,
        String(plainKey.dropLast(10)),
        "the embedded private key is broken PEM: a line that is no base64"
    ),
    Refusal(certificate, String(plainKey.prefix(80)), "the embedded private key is broken PEM: PRIVATE KEY has no end"),
    Refusal(
        certificate,
        String(plainKey.dropFirst(30)),
        "the embedded private key is broken PEM: an end of PRIVATE KEY without its beginning"
    ),
    Refusal(
        certificate,
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
        "the embedded private key is broken PEM: an end of PRIVATE KEY without its beginning"
    ),
    Refusal(
        certificate,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----",
        "the embedded private key is broken PEM: an end of EC PRIVATE KEY without its beginning"
    ),
    Refusal(
        certificate,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n\(plainKey)",
        "the embedded private key is broken PEM: PRIVATE KEY has no end"
    ),
    Refusal(
        certificate,
        "-----BEGIN PRIVATE KEY-----\nnot base64!\n-----END PRIVATE KEY-----",
        "the embedded private key is broken PEM: a line that is no base64"
    ),
]

private func crlf(_ text: String) -> String {
    String(text.map { $0.isNewline ? "\r\n" : $0 })
}

private func check(_ chain: String, _ key: String) -> String? {
    failure { () throws(PreforkError) in
        try Prefork.TLSIdentity.embedded(certificateChain: chain, privateKey: key).check()
    }?.description
}

@Suite struct TLSIdentityTests {
    @Test(arguments: [ecKey, plainKey, encryptedKey, legacyKey])
    func takesEachKindOfKey(key: String) {
        #expect(check(certificate, key) == nil)
        #expect(check(crlf(certificate), crlf(key)) == nil)
        #expect(check(certificate + "\n" + certificate + "\n", key + "\n") == nil)
        // One text for both, in either order, with explanations around the blocks.
        let combined = "Bag Attributes: none\n\(key)\n\nsubject=CN = localhost\n\(certificate)\n"
        #expect(check(combined, combined) == nil)
        #expect(check(certificate + "\n" + key, key) == nil)
    }

    @Test func whiteSpaceAtTheEndOfLinesIsNothing() {
        let spaced = certificate.split(separator: "\n").map { "\($0) \t" }.joined(separator: "\n")
        #expect(check(spaced, plainKey) == nil)
    }

    @Test(arguments: refusals)
    private func refuses(refusal: Refusal) {
        #expect(check(refusal.chain, refusal.key) == "invalid TLS identity: \(refusal.reason)")
    }

    @Test func readsFiles() throws {
        try withTemporaryDirectory { directory in
            try writeFile("\(directory)/chain.pem", certificate)
            try writeFile("\(directory)/key.pem", crlf(encryptedKey))
            try writeFile("\(directory)/both.pem", "\(legacyKey)\n\(certificate)")
            #expect(fileError("\(directory)/chain.pem", "\(directory)/key.pem") == nil)
            #expect(fileError("\(directory)/both.pem", "\(directory)/both.pem") == nil)
            #expect(fileError("\(directory)/chain.pem", "\(directory)/both.pem") == nil)
        }
    }

    @Test func namesTheFile() throws {
        try withTemporaryDirectory { directory in
            let chain = "\(directory)/chain.pem"
            let key = "\(directory)/key.pem"
            let empty = "\(directory)/empty.pem"
            let missing = "\(directory)/missing.pem"
            try writeFile(chain, certificate)
            try writeFile(key, plainKey)
            try writeFile(empty, "")
            #expect(
                fileError(missing, key)
                    == "the certificate chain cannot be read: open \(missing): No such file or directory (errno 2)"
            )
            #expect(
                fileError(chain, missing)
                    == "the private key cannot be read: open \(missing): No such file or directory (errno 2)"
            )
            #expect(
                fileError(chain, directory)
                    == "the private key cannot be read: read \(directory): Is a directory (errno 21)"
            )
            #expect(fileError(empty, key) == "the certificate chain \"\(empty)\" is not PEM: it has no BEGIN line")
            #expect(
                fileError(key, chain)
                    == "the certificate chain \"\(key)\" and the private key \"\(chain)\" are exchanged"
            )
            #expect(fileError(chain, chain) == "the private key \"\(chain)\" holds no PRIVATE KEY but CERTIFICATE")
            #expect(fileError(key, key) == "the certificate chain \"\(key)\" holds no CERTIFICATE but PRIVATE KEY")
        }
    }

    /// A file without any permission, which root reads nevertheless.
    @Test(.enabled(if: !isRoot)) func unreadableFile() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/key.pem"
            try writeFile(path, plainKey)
            #expect(makeUnreadable(path))
            let error = fileError(path, path)
            #expect(error == "the certificate chain cannot be read: open \(path): Permission denied (errno 13)")
        }
    }

    /// The same holds for root, because nothing can be opened below a file.
    @Test func fileBelowAFile() throws {
        try withTemporaryDirectory { directory in
            try writeFile("\(directory)/file", certificate)
            let path = "\(directory)/file/key.pem"
            let error = fileError(path, path)
            #expect(error == "the certificate chain cannot be read: open \(path): Not a directory (errno 20)")
        }
    }

    private func fileError(_ chain: String, _ key: String) -> String? {
        let error = failure { () throws(PreforkError) in
            try Prefork.TLSIdentity.files(certificateChain: chain, privateKey: key).check()
        }
        guard case .invalidTLSIdentity(let reason) = error?.payload else { return error.map { "\($0)" } }
        return reason
    }

    @Test func neverShowsTheKey() {
        let marker = "c2VjcmV0IGtleSBtYXRlcmlhbA"
        let identity = Prefork.TLSIdentity.embedded(certificateChain: "chain \(marker)", privateKey: "key \(marker)")
        var configuration = Prefork.Configuration(children: 2)
        configuration.tlsIdentity = identity
        var texts = ["\(identity)", String(reflecting: identity), String(describing: identity), "\([identity])"]
        texts += [String(describing: configuration), String(reflecting: configuration)]
        for value in [identity, configuration] as [Any] {
            var dumped = ""
            dump(value, to: &dumped)
            texts.append(dumped)
            for child in Mirror(reflecting: value).children { texts.append("\(child.value)") }
        }
        for text in texts { #expect(!text.contains(marker), "\(text)") }
        #expect(Mirror(reflecting: identity).children.isEmpty)
        #expect(identity.description == "TLS identity embedded in the program")
        #expect(identity.debugDescription == identity.description)
    }

    @Test func errorsNeverShowTheKey() {
        let broken = plainKey.replacing("M", with: "!")
        for (chain, key) in [(certificate, broken), (broken, broken), (plainKey, request), (plainKey, certificate)] {
            let text = check(chain, key) ?? ""
            #expect(text.hasPrefix("invalid TLS identity: "))
            for line in key.split(separator: "\n") + chain.split(separator: "\n") where !line.contains("-----") {
                #expect(!text.contains(line))
            }
        }
    }

    @Test func filesAreDescribedByTheirPaths() {
        let identity = Prefork.TLSIdentity.files(certificateChain: "/etc/chain.pem", privateKey: "/etc/key.pem")
        #expect(identity.description == "TLS identity from /etc/chain.pem and /etc/key.pem")
    }
}
