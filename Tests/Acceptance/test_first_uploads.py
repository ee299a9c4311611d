"""A new user's first ten uploads, with the command line as the README has it: each at the first try."""

import json
import subprocess
import zipfile

import pytest

from bulkhead_host import unique_name

SCRIPTS = {
    "sh": "#!/bin/sh\nprintf '{\"answer\": %d}' $(tr -dc 0-9)\n",
    "py": "#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps({'answer': json.load(sys.stdin)['n']}))\n",
    "pl": "#!/usr/bin/perl\nuse JSON::PP;\nmy $e = decode_json(join '', <STDIN>);\nprint encode_json({answer => $e->{n}});\n",
    "rb": "#!/usr/bin/env ruby\nrequire 'json'\nputs JSON.generate(answer: JSON.parse(STDIN.read)['n'])\n",
    "php": "#!/usr/bin/env php\n<?php echo json_encode(['answer' => json_decode(file_get_contents('php://stdin'))->n]);\n",
    "lua": "#!/usr/bin/env lua5.4\nio.write(string.format('{\"answer\": %d}', io.read('a'):match('%d+')))\n",
}


@pytest.fixture
def client(host, bulkhead):
    """`client(path)`: deploys it, invokes it, and returns the answer."""
    def run(path, name):
        access = ("--host", host.url, "--token", host.token)
        done = bulkhead("deploy", path, "--name", name, *access)
        assert done.returncode == 0, done.stderr
        done = bulkhead("invoke", name, "--data", '{"n": 42}', *access)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return run


@pytest.mark.parametrize("suffix", SCRIPTS)
def test_own_script(client, tmp_path, suffix):
    """As an editor saves it, execute bit and all; nothing beside it."""
    path = tmp_path / f"answer.{suffix}"
    path.write_text(SCRIPTS[suffix])
    path.chmod(0o755)
    assert client(path, unique_name("first")) == {"answer": 42}


def test_binary_with_its_libraries(client, tmp_path):
    folder = tmp_path / "tool"
    (folder / "lib").mkdir(parents=True)
    (tmp_path / "x.c").write_text("int answer(int n) { return n; }\n")
    (tmp_path / "m.c").write_text('#include <stdio.h>\nint answer(int);\nint main(void) { int n; scanf("{\\"n\\": %d", &n); printf("{\\"answer\\": %d}", answer(n)); }\n')
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "lib/libx.so.1", tmp_path / "x.c"], check=True)
    (folder / "lib/libx.so").symlink_to("libx.so.1")
    subprocess.run(["gcc", "-o", folder / "tool", tmp_path / "m.c", f"-L{folder}/lib", "-lx", "-Wl,-rpath,$ORIGIN/lib"], check=True)
    (folder / "function.yaml").write_text("run: ./tool\n")
    assert client(folder, unique_name("first")) == {"answer": 42}


def test_folder_with_a_virtual_environment(client, tmp_path):
    folder = tmp_path / "app"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    site = next((folder / ".venv/lib").iterdir()) / "site-packages"
    (site / "answering.py").write_text("def answer(n):\n    return {'answer': n}\n")
    (folder / "main.py").write_text("import json, sys, answering\nprint(json.dumps(answering.answer(json.load(sys.stdin)['n'])))\n")
    (folder / "run").write_text("#!/bin/sh\nexec .venv/bin/python main.py\n")
    (folder / "run").chmod(0o755)
    (folder / "function.yml").write_text("run: run\nlimits: { memory: 128Mi, wall: 5 }\n")
    assert client(folder, unique_name("first")) == {"answer": 42}


def test_zip_made_on_windows(client, tmp_path):
    archive = tmp_path / "function.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in (("function.yaml", "run: answer.sh\r\n"), ("answer.sh", SCRIPTS["sh"])):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 0, 0x20  # no execute bit there
            file.writestr(entry, text)
    assert client(archive, unique_name("first")) == {"answer": 42}


def test_lambda_handler(client, tmp_path):
    folder = tmp_path / "lambda"
    folder.mkdir()
    (folder / "lambda_function.py").write_text(
        "import logging\nlogging.getLogger().setLevel(logging.INFO)\n\ndef lambda_handler(event, context):\n"
        "    logging.info('order %s', event['n'])\n    return {'answer': event['n']}\n")
    (folder / "function.yaml").write_text("runtime: python\nhandler: lambda_function.lambda_handler\n")
    assert client(folder, unique_name("first")) == {"answer": 42}
