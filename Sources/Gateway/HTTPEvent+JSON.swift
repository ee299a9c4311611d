import FunctionModel
import NIOCore

/// Written member by member: this is on every request's way, and an encoder of any kind of value takes a tenth of it.
extension HTTPEvent {
    /// All members but those of the body, with a comma behind them.
    func withoutBody() -> ByteBuffer {
        var json = ByteBuffer()
        json.reserveCapacity(2 << 10)
        json.writeStaticString(#"{"version":"2.0","routeKey":"#)
        JSONString.write(routeKey, to: &json)
        json.writeStaticString(#","rawPath":"#)
        JSONString.write(rawPath, to: &json)
        json.writeStaticString(#","rawQueryString":"#)
        JSONString.write(rawQueryString, to: &json)
        json.writeStaticString(#","headers":"#)
        json.writeJSON(headers)
        if let cookies {
            json.writeStaticString(#","cookies":"#)
            json.writeJSON(cookies)
        }
        if let queryStringParameters {
            json.writeStaticString(#","queryStringParameters":"#)
            json.writeJSON(queryStringParameters)
        }
        if let pathParameters {
            json.writeStaticString(#","pathParameters":"#)
            json.writeJSON(pathParameters)
        }
        json.writeStaticString(#","requestContext":"#)
        requestContext.write(to: &json)
        json.writeStaticString(",")
        return json
    }
}

extension HTTPEvent.Context {
    fileprivate func write(to json: inout ByteBuffer) {
        json.writeStaticString(#"{"accountId":"#)
        JSONString.write(accountId, to: &json)
        json.writeStaticString(#","apiId":"#)
        JSONString.write(apiId, to: &json)
        if let authorizer {
            json.writeStaticString(#","authorizer":{"jwt":{"claims":"#)
            json.writeJSON(authorizer.claims)
            if let scopes = authorizer.scopes {
                json.writeStaticString(#","scopes":"#)
                json.writeJSON(scopes)
            }
            json.writeStaticString("}}")
        }
        json.writeStaticString(#","domainName":"#)
        JSONString.write(domainName, to: &json)
        json.writeStaticString(#","domainPrefix":"#)
        JSONString.write(domainPrefix, to: &json)
        json.writeStaticString(#","http":{"method":"#)
        JSONString.write(http.method, to: &json)
        json.writeStaticString(#","path":"#)
        JSONString.write(http.path, to: &json)
        json.writeStaticString(#","protocol":"#)
        JSONString.write(http.protocol, to: &json)
        json.writeStaticString(#","sourceIp":"#)
        JSONString.write(http.sourceIp, to: &json)
        json.writeStaticString(#","userAgent":"#)
        JSONString.write(http.userAgent, to: &json)
        json.writeStaticString(#"},"requestId":"#)
        JSONString.write(requestId, to: &json)
        json.writeStaticString(#","routeKey":"#)
        JSONString.write(routeKey, to: &json)
        json.writeStaticString(#","stage":"#)
        JSONString.write(stage, to: &json)
        json.writeStaticString(#","time":"#)
        JSONString.write(time, to: &json)
        json.writeStaticString(#","timeEpoch":"#)
        json.writeString("\(timeEpoch)")
        json.writeStaticString("}")
    }
}

extension ByteBuffer {
    fileprivate mutating func writeJSON(_ members: [String: String]) {
        writeInteger(UInt8(ascii: "{"))
        var isFirst = true
        for (name, value) in members {
            if !isFirst { writeInteger(UInt8(ascii: ",")) }
            isFirst = false
            JSONString.write(name, to: &self)
            writeInteger(UInt8(ascii: ":"))
            JSONString.write(value, to: &self)
        }
        writeInteger(UInt8(ascii: "}"))
    }

    fileprivate mutating func writeJSON(_ values: [String]) {
        writeInteger(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { writeInteger(UInt8(ascii: ",")) }
            JSONString.write(value, to: &self)
        }
        writeInteger(UInt8(ascii: "]"))
    }
}
