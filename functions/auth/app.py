"""Answers whether a request creates a user. Invoked directly, and over HTTP as /fn/auth."""

import base64
import json


def lambda_handler(event, context):
    try:
        accepted = payload(event)["request"]["type"] == "Create"
    # Whatever shape the caller sends, it is the caller's mistake. A deeply nested body ends in RecursionError.
    except (ValueError, KeyError, TypeError, RecursionError):
        accepted = False
    if accepted:
        return {"statusCode": 200, "body": "User authenticated successfully"}
    return {"statusCode": 400, "body": "Invalid request"}


def payload(event):
    """The event itself, or what an HTTP event (API Gateway payload format 2.0) carries as its body."""
    if "requestContext" not in event:
        return event
    body = event["body"]
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body, validate=True)
    return json.loads(body)
