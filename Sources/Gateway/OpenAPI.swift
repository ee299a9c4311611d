import Foundation
import FunctionModel
import HTTPTypes
import Hummingbird
import NIOCore

/// The API's description, made from the endpoints.
struct OpenAPI {
    private let endpoints: [Endpoint]

    init(_ endpoints: [Endpoint]) { self.endpoints = endpoints }

    var document: JSONValue {
        let paths = Dictionary(grouping: endpoints, by: \.path.forOpenAPI).mapValues { endpoints in
            JSONValue.object(
                Dictionary(
                    endpoints.flatMap { endpoint in
                        endpoint.methods.map { ($0.rawValue.lowercased(), Self.operation(endpoint, $0)) }
                    }
                ) { first, _ in first })
        }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Bulkhead", "version": "0.1.0",
                "description": "Runs other people's native code, each invocation in a process and a cell of its own.",
            ], "paths": .object(paths),
            "components": [
                "securitySchemes": ["token": ["type": "http", "scheme": "bearer"]], "schemas": .object(Self.schemas),
                "headers": .object(Self.headers), "responses": .object(Self.problems),
            ],
        ]
    }

    private static func operation(_ endpoint: Endpoint, _ method: HTTPRequest.Method) -> JSONValue {
        let operation = endpoint.operation
        let id = endpoint.method == nil ? "\(operation.id)_\(method.rawValue.lowercased())" : operation.id
        let needs: (security: JSONValue, fails: [Int]) =
            switch endpoint.needs {
            case .nothing: ([], [])
            case .role(.invoke): ([["token": []]], [401, 429])
            case .role, .onFunction: ([["token": []]], [401, 403, 429])
            case .functionsOwn: ([["token": []], [:]], [401, 403, 429])
            }
        var value: [String: JSONValue] = [
            "summary": .string(operation.summary), "operationId": .string(id), "security": needs.security,
        ]
        if let about = operation.about { value["description"] = .string(about) }
        let parameters =
            endpoint.path.parameters.map(parameter(inPath:)) + operation.parameters.map(parameter)
        if !parameters.isEmpty { value["parameters"] = .array(parameters) }
        if !operation.body.isEmpty {
            value["requestBody"] = [
                "required": .bool(operation.isBodyRequired),
                "content": .object(operation.body.mapValues { ["schema": $0] }),
            ]
        }
        var responses: [String: JSONValue] = [:]
        for answer in operation.answers { responses[String(answer.status)] = response(answer) }
        for status in needs.fails + operation.fails {
            responses[String(status)] = ["$ref": "#/components/responses/\(status)"]
        }
        value["responses"] = .object(responses)
        return .object(value)
    }

    private static func parameter(inPath name: String) -> JSONValue {
        [
            "name": .string(name), "in": "path", "required": true,
            "schema": name == "name" ? .schema("Name") : .text,
        ]
    }

    private static func parameter(_ parameter: Operation.Parameter) -> JSONValue {
        [
            "name": .string(parameter.name), "in": .string(parameter.place), "schema": parameter.schema,
            "description": .string(parameter.about),
        ]
    }

    private static func response(_ answer: Operation.Answer) -> JSONValue {
        var value: [String: JSONValue] = ["description": .string(answer.about)]
        if !answer.content.isEmpty { value["content"] = .object(answer.content.mapValues { ["schema": $0] }) }
        if !answer.headers.isEmpty { value["headers"] = .object(answer.headers) }
        return .object(value)
    }
}

extension Gateway {
    /// The endpoint that tells of all of them, itself among them.
    func description(of endpoints: [Endpoint]) -> Endpoint {
        let operation = Operation(
            id: "openapi", summary: "This document", answers: [.json("OpenAPI 3.1", ["type": "object"])])
        let path = RoutePath("/openapi.json")
        let own = Endpoint(.get, path, needs: .nothing, operation) { _ in Response(status: .ok) }
        // Strings and numbers: there is nothing in it that cannot be encoded.
        let bytes = (try? JSONEncoder.ours.encode(OpenAPI(endpoints + [own]).document)) ?? Data()
        return Endpoint(.get, path, needs: .nothing, operation) { _ in
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
        }
    }
}
