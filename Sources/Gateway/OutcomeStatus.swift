import FunctionModel

extension Outcome {
    /// The HTTP status of its response. `cancelled` is only ever seen in logs: the client has left.
    var httpStatus: Int {
        switch self {
        case .ok: 200
        case .error, .exit, .signal, .denied, .memoryExceeded, .outputExceeded, .protocolError: 502
        case .timeout, .cpuExceeded: 504
        case .invalidRequest: 400
        case .unauthorized: 401
        case .forbidden: 403
        case .notFound: 404
        case .conflict: 409
        case .payloadTooLarge: 413
        case .throttled: 429
        case .cancelled: 499
        case .overloaded: 503
        case .launchFailed: 500
        }
    }
}
