package import Access

extension LambdaAnswer {
    /// What a function's URL tells whoever may not come in, as AWS writes it.
    /// - Parameters:
    ///   - refused: why the signature is not accepted; nil: there is none, or its key is for less.
    ///   - id: what the request is called.
    package init(refusing refused: SignatureRefused?, id: String) {
        switch refused {
        case nil, .missing?:
            self.init(status: 403, ["Message": "Forbidden"])
            headers.append(("x-amzn-errortype", LambdaError.Kind.accessDenied.code))
        case let refused?: self = LambdaError(refused).answer
        }
        headers.append(("x-amzn-requestid", id))
    }
}
