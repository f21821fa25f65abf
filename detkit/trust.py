"""Whether checkpoints may execute code when they are read: only with the user's ``--trust``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Read by every torch.load, including mmengine's, whose fallback would unpickle any object.
WEIGHTS_ONLY_ENV = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
NO_WEIGHTS_ONLY_ENV = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
TRUST_NOTICE = "--trust: code in the checkpoints of this run may be executed"

# A context variable, because mmengine's functions, such as its initializers, also read files, and
# they have no parameter for it.
_TRUST: ContextVar[bool] = ContextVar("detkit_trust", default=False)


def trust_enabled() -> bool:
    """Whether code in checkpoints may be executed; False by default."""
    return _TRUST.get()


@contextmanager
def trust_files(trust: bool = True) -> Iterator[None]:
    """Within the block, allow checkpoints to execute code, or (False) forbid it.

    Args:
        trust: whether the user trusts the source of the files. The previous setting is restored
            at the end of the block.
    """
    saved_env = {name: os.environ.get(name) for name in (WEIGHTS_ONLY_ENV, NO_WEIGHTS_ONLY_ENV)}
    token = _TRUST.set(trust)
    _set_environment(trust)
    try:
        yield
    finally:
        _TRUST.reset(token)
        for name, value in saved_env.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def force_weights_only() -> None:
    """Make ``torch.load`` in this process and its children reject code, unless trusted."""
    if not trust_enabled():
        _set_environment(False)


def _set_environment(trust: bool) -> None:
    for name in (WEIGHTS_ONLY_ENV, NO_WEIGHTS_ONLY_ENV):
        os.environ.pop(name, None)
    if not trust:
        os.environ[WEIGHTS_ONLY_ENV] = "1"
