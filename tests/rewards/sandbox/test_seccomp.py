"""The system-call filter, interpreted instruction by instruction as the kernel does."""

import errno
import struct

import pytest

from r1_pipeline.errors import GraderError
from r1_pipeline.rewards.sandbox.seccomp import denied_calls, system_call_filter

ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
READ = {"x86_64": 0, "aarch64": 63}
SOCKET = {"x86_64": 41, "aarch64": 198}
CLONE = {"x86_64": 56, "aarch64": 220}


def answer(program, architecture, number, *arguments):
    """Interprets the filter for a call and returns its action; see struct seccomp_data in <linux/seccomp.h>."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    place, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("<HBBI", program, 8 * place)
        place += 1
        if code == 0x06:
            return value
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        else:
            holds = {0x15: accumulator == value, 0x25: accumulator > value, 0x45: bool(accumulator & value)}[code]
            place += if_true if holds else if_false


def refusal(number):
    return 0x00050000 | number


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_every_kind_of_call_has_its_answer(machine):
    program, own = system_call_filter(machine), ARCHITECTURES[machine]
    assert answer(program, own, READ[machine]) == ALLOW
    assert answer(program, 0x40000003, READ[machine]) == KILL  # 32-bit calls have other numbers
    for name, number in denied_calls(machine).items():
        assert answer(program, own, number) == refusal(errno.ENOSYS if name == "clone3" else errno.EPERM)
    for number in (451, 0x40000000 | READ[machine], 0xFFFFFFFF):
        assert answer(program, own, number) == refusal(errno.ENOSYS)
    assert answer(program, own, SOCKET[machine], 1) == ALLOW
    for family in (0, 2, 10, 16, 17, 40):
        assert answer(program, own, SOCKET[machine], family) == refusal(errno.EAFNOSUPPORT)
    assert answer(program, own, CLONE[machine], 0x003D0F00) == ALLOW  # a thread
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(program, own, CLONE[machine], flag | 17) == refusal(errno.EPERM)


def test_other_machines_are_refused():
    with pytest.raises(GraderError, match="riscv64"):
        system_call_filter("riscv64")
