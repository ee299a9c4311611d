import FunctionModel
import NIOCore
import WireText

/// Written member by member: this is on every request's way, and an encoder of any kind of value takes a tenth of it.
extension HTTPEvent {
    /// All members but those of the body, with a comma behind them.
    func withoutBody() -> ByteBuffer {
        var json = ByteBuffer()
        json.reserveCapacity(2 << 10)
        json.write(#"{"version":"2.0","routeKey":"#, routeKey)
        json.write(#","rawPath":"#, rawPath)
        json.write(#","rawQueryString":"#, rawQueryString)
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
        json.write(#"{"accountId":"#, accountId)
        json.write(#","apiId":"#, apiId)
        authorizer?.write(to: &json)
        json.write(#","domainName":"#, domainName)
        json.write(#","domainPrefix":"#, domainPrefix)
        json.write(#","http":{"method":"#, http.method)
        json.write(#","path":"#, http.path)
        json.write(#","protocol":"#, http.protocol)
        json.write(#","sourceIp":"#, http.sourceIp)
        json.write(#","userAgent":"#, http.userAgent)
        json.write(#"},"requestId":"#, requestId)
        json.write(#","routeKey":"#, routeKey)
        json.write(#","stage":"#, stage)
        json.write(#","time":"#, time)
        json.writeStaticString(#","timeEpoch":"#)
        json.writeString("\(timeEpoch)")
        json.writeStaticString("}")
    }
}

extension HTTPEvent.Context.Authorizer {
    fileprivate func write(to json: inout ByteBuffer) {
        switch self {
        case .jwt(let claims, let scopes):
            json.writeStaticString(#","authorizer":{"jwt":{"claims":"#)
            json.writeJSON(claims)
            if let scopes {
                json.writeStaticString(#","scopes":"#)
                json.writeJSON(scopes)
            }
        case .iam(let holder):
            json.write(#","authorizer":{"iam":{"accessKey":"#, holder.id)
            json.write(#","accountId":"#, LambdaLabel.account)
            json.write(#","callerId":"#, holder.id)
            json.write(
                #","cognitoIdentity":null,"principalOrgId":null,"userArn":"#,
                "arn:aws:iam::\(LambdaLabel.account):user/\(holder.name)")
            json.write(#","userId":"#, holder.id)
        }
        json.writeStaticString("}}")
    }
}

extension ByteBuffer {
    /// A text, behind what names it.
    mutating func write(_ name: StaticString, _ text: String) {
        writeStaticString(name)
        JSONString.write(text, to: &self)
    }

    mutating func writeJSON(_ members: [String: String]) {
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

    mutating func writeJSON(_ values: [String]) {
        writeInteger(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { writeInteger(UInt8(ascii: ",")) }
            JSONString.write(value, to: &self)
        }
        writeInteger(UInt8(ascii: "]"))
    }
}
