"""An order is {"item", "count", "email"}: priced for whoever asks by POST /orders/quote, and accepted where it is the event itself."""

import base64
import json
import os

PRICES, CURRENCY = json.loads(os.environ["PRICES"]), os.environ["CURRENCY"]


def priced(order):
    """The order with its total. Raises ValueError for what is none."""
    if not isinstance(order, dict) or order.get("item") not in PRICES:
        raise ValueError("item: one of " + ", ".join(sorted(PRICES)))
    count = order.get("count", 1)
    if type(count) is not int or not 1 <= count <= 100:
        raise ValueError("count: a whole number from 1 to 100")
    return {**order, "count": count, "total": count * PRICES[order["item"]], "currency": CURRENCY}


def quote(event):
    body = event.get("body") or "null"
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body)
    try:
        status, answer = 200, priced(json.loads(body))
    except (ValueError, TypeError, RecursionError) as error:
        status, answer = 400, {"message": str(error)}
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}


def lambda_handler(event, context):
    if isinstance(event, dict) and "requestContext" in event:
        return quote(event)
    order = priced(event)  # what it raises is tried again, and then stands among the dead letters
    if not order.get("email"):
        raise ValueError("email: whom the mail about it goes to")
    return order
