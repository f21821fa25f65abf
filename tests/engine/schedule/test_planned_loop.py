"""The passes of a planned loop through the data."""

from types import SimpleNamespace

import pytest
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader

from detkit.engine.planned_loop import PlannedTrainLoop
from detkit.engine.reproducibility import seeded_dataloader


class RecordingLoop(PlannedTrainLoop):
    """Records the batches and the epoch of the plan in place of training."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches = []

    def run_iter(self, idx, data_batch):
        self.batches.append((self.epoch, idx, sorted(int(index) for index in data_batch)))
        self._iter += 1


def play(timeline, num_steps, hook=None, start=0):
    """All batches of a run over ten samples in batches of two, from an iteration on."""
    hooks = [hook] if hook else []
    dataset = list(range(10))
    loader = DataLoader(dataset, sampler=DefaultSampler(dataset, seed=0), batch_size=2,
                        collate_fn=list)
    runner = SimpleNamespace(hooks=hooks, visualizer=SimpleNamespace(), val_loop=None,
                             model=SimpleNamespace(train=lambda: None), call_hook=lambda name: None)
    loop = RecordingLoop(runner, seeded_dataloader(loader, 0, 0, 1), num_steps, timeline, 5, 0)
    loop._iter = start
    loop._run()
    return loop.batches


def samples(batches):
    return sorted(index for _, _, batch in batches for index in batch)


def test_run_ends_within_a_pass():
    batches = play([[0, 7]], 7)
    assert len(batches) == 7
    assert samples(batches[:5]) == list(range(10))
    assert len(set(samples(batches[5:]))) == 4
    assert [index for _, index, _ in batches] == [0, 1, 2, 3, 4, 0, 1]


def test_passes_are_shuffled_anew():
    batches = play([[0, 15]], 15)
    orders = [[batch for _, _, batch in batches[begin:begin + 5]] for begin in (0, 5, 10)]
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("hook", [SimpleNamespace(switch_epoch=3),
                                  SimpleNamespace(num_last_epochs=0)],
                         ids=["from an epoch", "last epochs"])
def test_a_pass_ends_where_a_hook_switches_on_a_slower_machine(hook):
    # 20 steps are four epochs of five. From iteration 5 on the other 15 steps take 6 iterations:
    # 2.5 each, so 10, 12, 15, 17 ...: epoch 3 begins after iteration 9, within the second pass.
    batches = play([[0, 20], [5, 11]], 20, hook)
    assert [epoch for epoch, _, _ in batches] == [0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert [index for _, index, _ in batches] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("start", [1, 5, 8, 9, 10])
def test_resumed_run_has_the_same_batches(start):
    hook = SimpleNamespace(switch_epoch=3)
    whole = play([[0, 20], [5, 11]], 20, hook)
    assert play([[0, 20], [5, 11]], 20, hook, start) == whole[start:]
