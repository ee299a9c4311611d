"""Counts its invocations: a reactor's module-level state lives as long as its worker."""

count = 0


def lambda_handler(event, context):
    global count
    count += 1
    return {"count": count, "event": event}
