"""AWS Lambda's API by boto3: InvokeWithResponseStream, whose answer comes in the events of AWS's own encoding."""

import base64
import json
import time

from lambda_clients import log_lines, refused
from runtime_clients import bootstrap
from bundles import zip_of
from conftest import SLOWNESS

RUNTIME = "provided.al2023"
PARTS = """
    while True:
        id, event, headers = following()
        stream(id, %s, *%s, trailers=%s)
    """


def create(aws, code):
    return aws.create(zip_of({"bootstrap": bootstrap(code)}), handler="own", Runtime=RUNTIME, Timeout=10 * SLOWNESS)


def streamed(aws, name, event=None, **more):
    """The parts with the moments when they came, how it ended, and the whole reply."""
    reply = aws.client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event).encode(), **more)
    parts, end = [], None
    for part in reply["EventStream"]:
        assert end is None, f"{part} behind the end"
        if "PayloadChunk" in part:
            parts.append((part["PayloadChunk"]["Payload"], time.monotonic()))
        else:
            end = part["InvokeComplete"]
    assert end is not None, "it has no end"
    return parts, end, reply


def test_parts_come_as_they_are_made(aws):
    name = create(aws, PARTS % ("(time.sleep(0.3 * min(n, 1)) or b'%d;' % n for n in range(4))", "()", "b''"))
    parts, end, reply = streamed(aws, name)
    assert b"".join(data for data, _ in parts) == b"0;1;2;3;" and end == {}
    assert parts[-1][1] - parts[0][1] > 0.5, "all at once"
    assert (reply["StatusCode"], reply["ExecutedVersion"]) == (200, "$LATEST")
    assert reply["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"


def test_as_many_bytes_as_there_are(aws):
    name = create(aws, PARTS % ("(bytes([n]) * 65536 for n in range(event))", "()", "b''"))
    parts, end, _ = streamed(aws, name, 80)
    assert b"".join(data for data, _ in parts) == b"".join(bytes([n]) * 65536 for n in range(80)) and end == {}


def test_an_answer_that_is_whole(aws):
    """A handler that does not stream is answered all the same; nothing at all is no part."""
    parts, end, _ = streamed(aws, aws.create("def handler(event, context): return {'event': event}"), [1])
    assert [json.loads(data) for data, _ in parts] == [{"event": [1]}] and end == {}
    parts, end, _ = streamed(aws, create(aws, "while True:\n    id, event, headers = following()\n    answer(id, b'')\n"))
    assert (parts, end) == ([], {})


def test_a_failure_without_parts(aws):
    parts, end, _ = streamed(aws, aws.create("def handler(event, context): raise KeyError('k')"))
    assert parts == [] and end["ErrorCode"] == "KeyError"
    assert json.loads(end["ErrorDetails"])["errorMessage"] == "'k'"


def test_a_failure_behind_parts(aws):
    body = base64.b64encode(json.dumps({"errorMessage": "late", "errorType": "Late"}).encode()).decode()
    trailers = f"Lambda-Runtime-Function-Error-Type: Late\r\nLambda-Runtime-Function-Error-Body: {body}\r\n".encode()
    names = ("Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",)
    name = create(aws, PARTS % ("[b'before']", names, trailers))
    parts, end, _ = streamed(aws, name)
    assert b"".join(data for data, _ in parts) == b"before" and end["ErrorCode"] == "Late"
    assert json.loads(end["ErrorDetails"])["errorMessage"] == "late"


def test_the_tail_of_the_log(aws):
    name = aws.create("def handler(event, context): print('said')")
    _, end, _ = streamed(aws, name, LogType="Tail")
    lines = log_lines({"LogResult": end["LogResult"]})
    assert "said" in lines and lines[0].startswith("START RequestId: ") and lines[-1].startswith("REPORT RequestId: ")


def test_what_does_not_run_is_an_error(aws):
    refused(lambda: streamed(aws, "nothing-here"), 404, "ResourceNotFoundException")
    name = aws.create()
    aws.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    refused(lambda: streamed(aws, name), 429, "TooManyRequestsException")
    aws.client.delete_function_concurrency(FunctionName=name)
    reply = aws.client.invoke_with_response_stream(FunctionName=name, InvocationType="DryRun")
    assert reply["StatusCode"] == 204


def test_who_leaves_ends_it(aws):
    """And what does not read holds up who writes."""
    name = create(aws, PARTS % ("iter(lambda: time.sleep(0.01) or b'x' * 1000, 0)", "()", "b''"))
    reply = aws.client.invoke_with_response_stream(FunctionName=name)
    id = reply["ResponseMetadata"]["RequestId"]
    next(iter(reply["EventStream"]))
    reply["EventStream"].close()
    assert aws.host.record_when_done(id)["outcome"] == "cancelled"


def test_a_large_answer_comes_in_pieces(aws):
    """Clients bound what one message may be."""
    parts, end, _ = streamed(aws, aws.create("def handler(event, context): return 'x' * 3_000_000"))
    assert json.loads(b"".join(data for data, _ in parts)) == "x" * 3_000_000 and end == {}
    assert len(parts) > 3 and max(len(data) for data, _ in parts) <= 1 << 20
