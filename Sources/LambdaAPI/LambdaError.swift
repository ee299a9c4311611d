import Access
import Bundles
import FunctionModel
import Logging
import WireText

/// An error as Lambda tells it: the name in `x-amzn-ErrorType`, the status, and a body of the recorded shape.
struct LambdaError: Error {
    enum Kind: Sendable {
        case accessDenied, notFound, conflict, invalidParameter, validation, notImplemented, unknownOperation
        case methodNotAllowed, preconditionFailed, requestTooLarge, entityTooLarge, invalidContent,
            service,
            unavailable, noProvisioned, policyTooLong
        case tooManyRequests(reason: String, retryAfter: Int)
        case signature(String)

        var code: String {
            switch self {
            case .accessDenied: "AccessDeniedException"
            case .notFound: "ResourceNotFoundException"
            case .conflict: "ResourceConflictException"
            case .invalidParameter: "InvalidParameterValueException"
            case .validation: "ValidationException"
            case .notImplemented: "NotImplementedException"
            case .unknownOperation: "UnknownOperationException"
            case .methodNotAllowed: "MethodNotAllowedException"
            case .preconditionFailed: "PreconditionFailedException"
            case .requestTooLarge: "RequestTooLargeException"
            case .entityTooLarge: "RequestEntityTooLargeException"
            case .invalidContent: "InvalidRequestContentException"
            case .service: "ServiceException"
            case .unavailable: "ServiceUnavailableException"
            case .noProvisioned: "ProvisionedConcurrencyConfigNotFoundException"
            case .policyTooLong: "PolicyLengthExceededException"
            case .tooManyRequests: "TooManyRequestsException"
            case .signature(let code): code
            }
        }

        var status: Int {
            switch self {
            case .invalidParameter, .validation, .invalidContent, .policyTooLong: 400
            case .accessDenied, .signature: 403
            case .notFound, .unknownOperation, .noProvisioned: 404
            case .methodNotAllowed: 405
            case .conflict: 409
            case .preconditionFailed: 412
            case .requestTooLarge, .entityTooLarge: 413
            case .tooManyRequests: 429
            case .service: 500
            case .notImplemented: 501
            case .unavailable: 503
            }
        }
    }

    let kind: Kind
    let message: String

    static let noZip = LambdaError(
        .invalidParameter, "Could not unzip uploaded file. Please check your file, then try to upload again.")

    /// What one member is, in the words of the model's checks.
    static func invalid(_ value: String, at place: String, _ constraint: String) -> LambdaError {
        LambdaError(.validation, "1 validation error detected: \(InputRule.complaint(value, at: place, constraint))")
    }

    init(_ kind: Kind, _ message: String) { (self.kind, self.message) = (kind, message) }

    /// Whatever a service has thrown.
    init(_ error: any Error, logger: Logger, _ request: LambdaRequest) {
        switch error {
        case let error as LambdaError: self = error
        case let failure as Failure: self.init(failure)
        case let refused as SignatureRefused: self.init(refused)
        case is PreconditionFailed:
            self.init(
                .preconditionFailed,
                "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
            )
        case let refused as UploadRefused: self.init(Failure(refused.cause, refused.description))
        default:
            logger.error(
                "request failed", metadata: ["reason": "\(error)", "path": "\(request.path.prefix(bytes: 200))"])
            self.init(.service, "the host failed in a way of its own; its log has the reason")
        }
    }

    init(_ failure: Failure) {
        switch failure.cause {
        case .notFound: self.init(.notFound, failure.detail)
        case .conflict: self.init(.conflict, failure.detail)
        case .forbidden: self.init(.accessDenied, failure.detail)
        case .unauthorized: self.init(.signature("UnrecognizedClientException"), failure.detail)
        case .payloadTooLarge: self.init(.requestTooLarge, failure.detail)
        case .throttled(let seconds):
            let reason = failure.rate == nil ? "ConcurrentInvocationLimitExceeded" : "CallerRateLimitExceeded"
            self.init(.tooManyRequests(reason: reason, retryAfter: seconds), "Rate Exceeded: \(failure.detail)")
        case .overloaded: self.init(.unavailable, failure.detail)
        case .launchFailed, .error, .exit, .signal, .denied, .timeout, .cpuExceeded, .memoryExceeded, .outputExceeded,
            .protocolError, .cancelled:
            self.init(.service, failure.detail)
        case .invalidRequest: self.init(.invalidParameter, failure.detail)
        }
    }

    init(_ refused: SignatureRefused) {
        switch refused {
        case .missing: self.init(.signature("MissingAuthenticationTokenException"), "Missing Authentication Token")
        case .incomplete(let why): self.init(.signature("IncompleteSignatureException"), why)
        case .unknownKey:
            self.init(
                .signature("UnrecognizedClientException"), "The security token included in the request is invalid.")
        case .wrong:
            self.init(
                .signature("InvalidSignatureException"),
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
            )
        case .otherService:
            self.init(
                .signature("InvalidSignatureException"), "Credential should be scoped to correct service: 'lambda'.")
        case .outOfTime(let why): self.init(.signature("InvalidSignatureException"), why)
        }
    }

    /// As AWS writes each: some say `Message`, some `message`, and most whose fault it was.
    var answer: LambdaAnswer {
        var body: [String: LambdaValue]
        var headers: [(name: String, value: String)] = [("x-amzn-errortype", kind.code)]
        switch kind {
        case .notFound, .unknownOperation: body = ["Type": "User", "Message": .text(message)]
        case .service, .unavailable: body = ["Type": "Service", "Message": .text(message)]
        case .validation, .signature: body = ["message": .text(message)]
        case .accessDenied, .notImplemented: body = ["Message": .text(message), "message": .text(message)]
        case .tooManyRequests(let reason, let retryAfter):
            body = ["Reason": .text(reason), "Type": "User", "message": .text(message)]
            headers.append(("retry-after", "\(retryAfter)"))
        case .conflict, .invalidParameter, .methodNotAllowed, .preconditionFailed, .requestTooLarge, .entityTooLarge,
            .invalidContent, .noProvisioned, .policyTooLong:
            body = ["Type": "User", "message": .text(message)]
        }
        var answer = LambdaAnswer(status: kind.status, .object(body))
        answer.headers += headers
        return answer
    }
}
