"""Scale the parameter schedulers of a config to another number of steps.

Legend: ``step``: one iteration of the planned run; a scheduler of the config may count epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import ConfigDict

from detkit.errors import ConfigError

# A warm-up takes at most this fraction of the run, and at least the other one unless it is shorter
# in the config: the optimizer's averages need a number of steps, not a fraction of the run.
MAX_WARMUP, MIN_WARMUP = 0.1, 0.05
_WARMUPS = ("LinearLR", "LinearParamScheduler", "ConstantLR", "ConstantParamScheduler",
            "QuadraticWarmupLR", "QuadraticWarmupParamScheduler")
_INFINITE = 10**9  # mmengine's default for `end`
_COUNTS = ("step_size", "periods")


@dataclass(frozen=True)
class StepMap:
    """Maps the steps of a config's run to those of a run of another length.

    Args:
        old_steps: number of steps of the config's run.
        new_steps: number of steps of the new run.
        old_warmup: number of warm-up steps at the beginning of the config's run; 0 for none.
        new_warmup: their number in the new run.
    """

    old_steps: int
    new_steps: int
    old_warmup: int = 0
    new_warmup: int = 0

    @property
    def scale(self) -> float:
        """New steps for each old step."""
        return self.new_steps / self.old_steps

    def __call__(self, step: int) -> int:
        """The new step for ``step``: in proportion within the warm-up, and after it."""
        if step <= self.old_warmup:
            return round(step * self.new_warmup / self.old_warmup) if self.old_warmup else 0
        rest = (self.new_steps - self.new_warmup) / (self.old_steps - self.old_warmup)
        return round(self.new_warmup + (step - self.old_warmup) * rest)


def make_step_map(
    schedulers: Any, old_steps: int, new_steps: int, epoch_length: int
) -> StepMap:
    """The map from the steps of a config's run to those of a run of ``new_steps``.

    Args:
        schedulers: the config's ``param_scheduler``.
        old_steps: number of steps of the config's run.
        new_steps: number of steps of the new run.
        epoch_length: number of steps of an epoch.
    """
    warmup = max((end for end in warmup_ends(schedulers, old_steps, epoch_length)
                  if end < old_steps), default=0)
    if not warmup:
        return StepMap(old_steps, new_steps)
    at_least = min(warmup, MIN_WARMUP * new_steps)
    fitted = min(max(warmup * new_steps / old_steps, at_least), MAX_WARMUP * new_steps)
    return StepMap(old_steps, new_steps, warmup, max(1, round(fitted)))


def warmup_ends(schedulers: Any, num_steps: int, epoch_length: int) -> list[int]:
    """The last step of each warm-up of a run, which may be after the run's end.

    Args:
        schedulers: the config's ``param_scheduler``.
        num_steps: number of steps of the run.
        epoch_length: number of steps of an epoch.
    """
    return [_end(item, epoch_length) or 0 for item in iter_schedulers(schedulers)
            if _is_warmup(item, num_steps, epoch_length)]


def iter_schedulers(schedulers: Any) -> list[Mapping[str, Any]]:
    """Every scheduler of a config's ``param_scheduler``: a dict, a list, or lists by optimizer."""
    if isinstance(schedulers, Mapping) and "type" not in schedulers:
        return [item for value in schedulers.values() for item in iter_schedulers(value)]
    if isinstance(schedulers, (list, tuple)):
        return [item for item in schedulers if isinstance(item, Mapping)]
    return [schedulers] if isinstance(schedulers, Mapping) else []


def fit_param_schedulers(schedulers: Any, step_map: StepMap, epoch_length: int) -> Any:
    """Return ``schedulers`` with every length mapped by ``step_map``, all by iteration.

    Args:
        schedulers: the config's ``param_scheduler``.
        step_map: from the steps of the config's run to those of the new one.
        epoch_length: number of steps of an epoch.

    Raises:
        ConfigError: a scheduler follows a validation score, so it has no length.
    """
    if isinstance(schedulers, Mapping) and "type" not in schedulers:
        return {name: fit_param_schedulers(value, step_map, epoch_length)
                for name, value in schedulers.items()}
    if isinstance(schedulers, (list, tuple)):
        return [fit_param_schedulers(item, step_map, epoch_length) for item in schedulers]
    if not isinstance(schedulers, Mapping):
        return schedulers
    return _fit_scheduler(schedulers, step_map, epoch_length)


def _fit_scheduler(
    scheduler: Mapping[str, Any], step_map: StepMap, epoch_length: int
) -> ConfigDict:
    name = type_name(scheduler)
    if name.startswith("ReduceOnPlateau"):
        raise ConfigError(f"param_scheduler: {name} follows a validation score, so its length "
                          "cannot be fitted to another run",
                          hint="use a schedule such as CosineAnnealingLR")
    unit = _unit(scheduler, epoch_length)
    fitted = ConfigDict(scheduler)
    fitted.pop("convert_to_iter_based", None)
    fitted["by_epoch"] = False
    old_begin, old_end = int(scheduler.get("begin", 0) * unit), _end(scheduler, epoch_length)
    begin = step_map(old_begin)
    fitted["begin"] = begin
    if old_end is not None:
        end = step_map(old_end)
        if old_end >= step_map.old_steps and _is_warmup(scheduler, step_map.old_steps,
                                                        epoch_length):
            end = round(MAX_WARMUP * step_map.new_steps)  # it is as long as the config's run
        fitted["end"] = max(end, begin + 2)

    def length(units: float) -> int:
        return max(1, step_map(old_begin + round(units * unit)) - begin)

    for key in ("T_max", "total_steps"):
        if scheduler.get(key) is not None:
            fitted[key] = length(scheduler[key])
    if "milestones" in scheduler:
        fitted["milestones"] = [length(milestone) for milestone in scheduler["milestones"]]
    for key in _COUNTS:
        if key in scheduler:
            fitted[key] = _scale(scheduler[key], unit * step_map.scale)
    if name.startswith("Exponential"):
        fitted["gamma"] = scheduler["gamma"] ** (1 / (unit * step_map.scale))
    return fitted


def type_name(component: Mapping[str, Any]) -> str:
    """The ``type`` of a component without its scope."""
    kind = component.get("type", "")
    return (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]


def _scale(value: Any, factor: float) -> Any:
    if isinstance(value, (list, tuple)):
        return [_scale(item, factor) for item in value]
    return max(1, round(value * factor))


def _unit(scheduler: Mapping[str, Any], epoch_length: int) -> int:
    return epoch_length if scheduler.get("by_epoch", True) else 1


def _end(scheduler: Mapping[str, Any], epoch_length: int) -> int | None:
    """The last step of a scheduler in the config's run; None if it has none."""
    end = scheduler.get("end")
    if end is None or end >= _INFINITE:
        return None
    return int(end * _unit(scheduler, epoch_length))


def _is_warmup(scheduler: Mapping[str, Any], old_steps: int, epoch_length: int) -> bool:
    end, name = _end(scheduler, epoch_length), type_name(scheduler)
    if name not in _WARMUPS or end is None or scheduler.get("begin", 0):
        return False
    # A linear decay over the whole run is none.
    rises = not name.startswith("Linear") or (
        scheduler.get("start_factor", 1 / 3) < scheduler.get("end_factor", 1.0))
    return rises and (end < old_steps or not scheduler.get("by_epoch", True))
