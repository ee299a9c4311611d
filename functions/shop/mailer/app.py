"""Told of each order by a destination. A cell has no network: the mail stands in the log, and is what a webhook could be given."""


def lambda_handler(event, context):
    order = event["responsePayload"]
    total = f"{order['total'] / 100:.2f} {order['currency']}"
    mail = {"to": order["email"], "text": f"Your order: {order['count']} x {order['item']}, {total}."}
    print(f"mail to {mail['to']}: {mail['text']}")
    return mail
