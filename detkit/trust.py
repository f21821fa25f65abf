"""Whether the user trusts the files that this run reads: their code runs only if he says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# torch.load heeds them wherever it is called, mmengine's calls too, whose own fallback would run
# what is in the file.
WEIGHTS_ONLY_ENV, NO_WEIGHTS_ONLY_ENV = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
TRUST_NOTICE = "--trust: code in the checkpoints of this run may be executed"

# A context variable, because files are read by functions far below the command (mmengine's
# initializers among them), whose signatures are not ours.
_TRUST: ContextVar[bool] = ContextVar("detkit_trust", default=False)


def trust_enabled() -> bool:
    """Whether code in the files that are read now may be executed; False unless it was said."""
    return _TRUST.get()


@contextmanager
def trust_files(trust: bool = True) -> Iterator[None]:
    """Within the block, read checkpoints with what code they hold, or (False) as data alone.

    Args:
        trust: what the user said of whoever made the files. Nothing of it outlasts the block.
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
    """Have each ``torch.load`` in this process and its children read data, unless trusted."""
    if not trust_enabled():
        _set_environment(False)


def _set_environment(trust: bool) -> None:
    for name in (WEIGHTS_ONLY_ENV, NO_WEIGHTS_ONLY_ENV):
        os.environ.pop(name, None)
    if not trust:
        os.environ[WEIGHTS_ONLY_ENV] = "1"
