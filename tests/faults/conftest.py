"""Faults on real parts; kernel audit as the kernel's tests use it."""

from tests.kernel.conftest import *  # noqa: F403
