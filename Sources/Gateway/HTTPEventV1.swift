import FunctionModel
import HTTPTypes
import NIOCore
import WireText

/// An HTTP request as API Gateway's payload format 1.0: what REST APIs send, with the `version` of HTTP APIs.
/// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
///
/// Written member by member, as `HTTPEvent` is.
struct HTTPEventV1 {
    let source: HTTPEvent.Source

    /// What may be there several times, in the order in which each came first.
    private struct Values {
        private(set) var list: [(name: String, values: [String])] = []
        private var places: [MemberName: Int] = [:]

        /// - Parameter key: what is the same for whatever has the same name.
        mutating func add(_ name: String, _ value: String, as key: String) {
            let key = MemberName(key)
            if let place = places[key] {
                list[place].values.append(value)
            } else {
                places[key] = list.count
                list.append((name, [value]))
            }
        }
    }

    /// All members but those of the body, with a comma behind them.
    func withoutBody() -> ByteBuffer {
        let fields = fields, parameters = parameters
        var json = ByteBuffer()
        json.reserveCapacity(4 << 10)
        json.write(#"{"version":"1.0","resource":"#, resource)
        json.write(#","path":"#, source.path)
        json.write(#","httpMethod":"#, source.method)
        Self.write(fields, as: #","headers":"#, andAll: #","multiValueHeaders":"#, to: &json)
        Self.write(
            parameters, as: #","queryStringParameters":"#, andAll: #","multiValueQueryStringParameters":"#, to: &json)
        json.writeStaticString(#","requestContext":"#)
        writeContext(to: &json)
        json.writeStaticString(#","pathParameters":"#)
        if let parts = source.routed?.parameters, !parts.isEmpty {
            json.writeJSON(parts)
        } else {
            json.writeStaticString("null")
        }
        json.writeStaticString(#","stageVariables":null,"#)
        return json
    }

    /// The route's path, as it was made.
    private var resource: String { source.routed?.resource ?? source.path }

    /// Names as the client has sent them, which over HTTP/2 is in lower case.
    private var fields: Values {
        let forwarded = source.forwarded
        var fields = Values()
        fields.add("Host", source.authority, as: "host")
        var cookies: [String] = []
        for field in source.headers where !forwarded.contains(where: { $0.name == field.name }) {
            if field.name == .cookie {
                cookies.append(field.value)
            } else {
                fields.add(field.name.rawName, field.value, as: field.name.canonicalName)
            }
        }
        // One, in however many parts it came (RFC 9113, 8.2.3).
        if !cookies.isEmpty { fields.add("Cookie", cookies.joined(separator: "; "), as: "cookie") }
        for (name, value) in forwarded { fields.add(name.rawName, value, as: name.canonicalName) }
        return fields
    }

    private var parameters: Values {
        var parameters = Values()
        for (name, value) in source.parameters { parameters.add(name, value, as: name) }
        return parameters
    }

    /// Twice: the last value of each, then all; null where there are none.
    private static func write(
        _ values: Values, as last: StaticString, andAll all: StaticString, to json: inout ByteBuffer
    ) {
        json.writeStaticString(last)
        write(values, to: &json) { values, json in JSONString.write(values.last ?? "", to: &json) }
        json.writeStaticString(all)
        write(values, to: &json) { values, json in json.writeJSON(values) }
    }

    private static func write(
        _ values: Values, to json: inout ByteBuffer, _ value: ([String], inout ByteBuffer) -> Void
    ) {
        guard !values.list.isEmpty else {
            json.writeStaticString("null")
            return
        }
        json.writeStaticString("{")
        for (index, entry) in values.list.enumerated() {
            if index > 0 { json.writeStaticString(",") }
            JSONString.write(entry.name, to: &json)
            json.writeStaticString(":")
            value(entry.values, &json)
        }
        json.writeStaticString("}")
    }

    private func writeContext(to json: inout ByteBuffer) {
        json.write(#"{"accountId":"#, LambdaLabel.account)
        json.write(#","apiId":"#, source.function.text)
        if case .jwt(let claims, let scopes)? = source.authorizer {
            json.writeStaticString(#","authorizer":{"claims":"#)
            json.writeJSON(claims)
            json.writeStaticString(#","scopes":"#)
            if let scopes { json.writeJSON(scopes) } else { json.writeStaticString("null") }
            json.writeStaticString("}")
        }
        json.write(#","domainName":"#, source.authority)
        json.write(#","domainPrefix":"#, source.function.text)
        json.write(#","extendedRequestId":"#, source.invocationID)
        json.write(#","httpMethod":"#, source.method)
        writeIdentity(to: &json)
        json.write(#","path":"#, source.path)
        json.write(#","protocol":"#, HTTPEvent.protocolName)
        json.write(#","requestId":"#, source.invocationID)
        json.write(#","requestTime":"#, source.time)
        json.writeStaticString(#","requestTimeEpoch":"#)
        json.writeString("\(source.timeEpoch)")
        json.write(#","resourceId":"#, source.routed?.key ?? HTTPEvent.defaultKey)
        json.write(#","resourcePath":"#, resource)
        json.write(#","stage":"#, HTTPEvent.stage)
        json.writeStaticString("}")
    }

    /// Of AWS's ways to be known there are none here; its members are there all the same.
    private func writeIdentity(to json: inout ByteBuffer) {
        json.writeStaticString(#","identity":{"accessKey":null,"accountId":null,"caller":null,"#)
        json.writeStaticString(#""cognitoAuthenticationProvider":null,"cognitoAuthenticationType":null,"#)
        json.writeStaticString(#""cognitoIdentityId":null,"cognitoIdentityPoolId":null,"principalOrgId":null,"#)
        json.write(#""sourceIp":"#, source.connection.clientAddress)
        json.writeStaticString(#","user":null,"userAgent":"#)
        if let agent = source.headers[.userAgent] {
            JSONString.write(agent, to: &json)
        } else {
            json.writeStaticString("null")
        }
        json.writeStaticString(#","userArn":null}"#)
    }
}
