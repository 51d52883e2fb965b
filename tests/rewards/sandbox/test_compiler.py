"""C++: compiled in a sandbox of its own, run like any program; compile bombs are cut off and nothing leaks."""

import pytest

from r1_pipeline.rewards.sandbox import jail
from r1_pipeline.rewards.sandbox.runner import Program
from r1_pipeline.rewards.sandbox.sandboxes import Sandboxes

pytestmark = pytest.mark.skipif(jail.compiler() is None, reason="no g++ on this machine")

SUM = "#include <iostream>\nint main() { long a = 0, b = 0; std::cin >> a >> b; std::cout << a + b << std::endl; }"
DEEP = "template<int N> struct T { typedef typename T<N-1>::X X; T<N-1> a; T<N+1> b; }; T<900> t;"
MACROS = (
    "".join(f"#define A{n} A{n - 1} A{n - 1} A{n - 1} A{n - 1}\n" for n in range(1, 20)) + "#define A0 int x();\nA19"
)
REFUSED = {
    "an error": "int main() { return }",
    "a file of the host": '#include "/etc/passwd"\nint main() {}',
    "a device without end": '#include "/dev/zero"\nint main() {}',
    "endless constants": "constexpr int f() { int s = 0; for (;;) s += 1; return s; }\n"
    "int main() { constexpr int x = f(); }",
    "nested templates": DEEP + "int main() {}",
}
SLOW = {
    "a template bomb": "template<int N, long M> struct T { T<N - 1, 2 * M> a; T<N - 1, 2 * M + 1> b; };\n"
    "template<long M> struct T<0, M> { };\nT<24, 1> t;\nint main() {}",
    "a macro bomb": MACROS + "int main() {}",
    "a huge array": "long long a[1 << 27] = {1};\nint main() { return a[0]; }",
}


def fed(held, source, *inputs, limit_s=60.0):
    return held.feed(Program(source=source, language="cpp"), inputs, limit_s)


def test_a_program_is_compiled_once_and_run_for_each_test(held):
    run = fed(held, SUM, "1 2", "40 2", "x")
    assert run.status == "ran"
    assert [(test.status, test.output) for test in run.tests] == [
        ("finished", "3\n"),
        ("finished", "42\n"),
        ("finished", "0\n"),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("return 3;", "failed"),
        ("for (volatile int n = 0;;) n = n + 1;", "out_of_time"),
        ("raise(SIGSEGV);", "killed"),
        ("std::vector<char> v(1L << 32); return v[getchar() & 7];", "out_of_memory"),
        ("for (;;) puts(\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\");", "too_large"),
        ("while (fork() >= 0 || true);", "out_of_time"),
        ("return socket(AF_INET, SOCK_STREAM, 0) >= 0 || creat(\"/tmp/x\", 0600) >= 0;", "finished"),
    ],
)  # fmt: skip
def test_a_compiled_program_has_the_same_limits(body, status, held):
    headers = ("csignal", "cstdio", "vector", "fcntl.h", "sys/socket.h", "unistd.h")
    source = "".join(f"#include <{header}>\n" for header in headers) + f"int main() {{ {body} }}"
    run = fed(held, source, "", limit_s=1.0 if status == "out_of_time" else 60.0)
    assert [test.status for test in run.tests] == [status]


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_compiled_is_refused(what, held):
    run = fed(held, REFUSED[what], "")
    assert run.status == "not_compiled" and run.detail


@pytest.mark.slow
@pytest.mark.parametrize("what", SLOW)
def test_a_compile_bomb_is_cut_off(what, held):
    assert fed(held, SLOW[what], "").status == "not_compiled"


def test_nothing_of_the_host_leaks_through_the_compiler(held, stage):
    include = fed(held, f'#include "{stage.secret}"\nint main() {{}}', "")
    assemble = fed(held, f'asm(".incbin \\"{stage.secret}\\"");\nint main() {{}}', "")
    for run in (include, assemble):
        assert run.status == "not_compiled" and stage.token not in run.model_dump_json()
    assert stage.look() == stage.before


def test_only_standard_input_is_for_programs_in_cpp(held):
    program = Program(source=SUM, language="cpp")
    assert held.call(program, "f", ["[1]"], 1.0).status == "not_compiled"
    assert held.unit(program, "f", ["assert f(1)"], 1.0).status == "not_compiled"


def test_without_a_compiler_a_program_in_cpp_is_the_runners_failure(safe, monkeypatch):
    monkeypatch.setattr(jail, "compiler", lambda: None)
    sandboxes = Sandboxes(workers=1)
    run = fed(sandboxes, SUM, "1 2")
    sandboxes.close()
    assert run.status == "runner_failed" and "install the package g++" in run.detail
