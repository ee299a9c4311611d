"""What there is: GET /items, GET /items/{id}."""

import json
import os

PRICES, CURRENCY = json.loads(os.environ["PRICES"]), os.environ["CURRENCY"]


def item(name):
    return {"id": name, "price": PRICES[name], "currency": CURRENCY}


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def lambda_handler(event, context):
    name = (event.get("pathParameters") or {}).get("id")
    if name is None:
        return answer(200, {"items": [item(name) for name in sorted(PRICES)]})
    return answer(200, item(name)) if name in PRICES else answer(404, {"message": f"there is no {name}"})
